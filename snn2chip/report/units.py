"""Numbers as people read them: three significant digits, SI prefixes, percentages, factors."""

from __future__ import annotations

from snn2chip.hw_models.results import Range

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}

#: What stands where a model says nothing, for example cycles on a chip without time.
UNKNOWN = "n/a"
#: Of a percentage, behind the point.
_MOST_DIGITS = 6
#: Significant digits of a figure, and the most that two of them are given so that they read differently.
_DIGITS, _MOST_APART = 3, 9


def quantity(value: float | None, unit: str, digits: int = _DIGITS) -> str:
    """``4.2e-7, "J"`` as ``420 nJ``."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return f"0 {unit}"
    mantissa, power = _scientific(value, digits)
    group = power // 3 * 3
    if group not in _PREFIXES:
        return f"{value:.{digits - 1}e} {unit}"
    return f"{_fixed(mantissa, power - group, digits)} {_PREFIXES[group]}{unit}"


def memory(bits: int | None) -> str:
    """``654321`` bits as ``79.9 KiB``."""
    if bits is None:
        return UNKNOWN
    size = bits / 8.0
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def count(value: float | None, digits: int = _DIGITS) -> str:
    """``12345.6`` as ``12.3 k``; whole numbers below a thousand stay whole, and no prefix makes a count smaller."""
    if value is None:
        return UNKNOWN
    if abs(value) < 1000 and value == int(value):
        return str(int(value))
    return f"{value:.{digits}g}" if abs(value) < 1 else quantity(value, "", digits).rstrip()


def apart(before: float | None, after: float | None, unit: str) -> tuple[str, str]:
    """Two figures with as many digits as it takes to tell them apart: ``139.2 nJ`` and ``138.8 nJ``.

    They are counts where there is no unit. Equal figures, and those that differ by less than a billionth, read alike.
    """
    for digits in range(_DIGITS, _MOST_APART + 1):
        found = [quantity(value, unit, digits) if unit else count(value, digits) for value in (before, after)]
        if before == after or found[0] != found[1]:
            break
    return found[0], found[1]


def factor(value: float | None) -> str:
    """``2.125`` as ``2.13×``."""
    if value is None:
        return UNKNOWN
    mantissa, power = _scientific(value)
    return f"{_fixed(mantissa, power)}×" if -2 <= power <= 2 else f"{value:.3g}×"


def factor_range(ratio: Range | None) -> str:
    """``2.13× (1.90..2.40)``; without the brackets where the range is empty at three digits."""
    if ratio is None:
        return UNKNOWN
    low, high = factor(ratio.low), factor(ratio.high)
    return factor(ratio.nominal) if low == high else f"{factor(ratio.nominal)} ({low[:-1]}..{high[:-1]})"


def quantity_range(value: Range | None, unit: str) -> str:
    """``420 nJ (210 nJ..900 nJ)``; without the brackets where the range is empty."""
    if value is None:
        return UNKNOWN
    nominal = quantity(value.nominal, unit)
    if value.low == value.high:
        return nominal
    return f"{nominal} ({quantity(value.low, unit)}..{quantity(value.high, unit)})"


def percent(share: float | None, digits: int = 1) -> str:
    """``0.9911`` as ``99.1 %``, with more digits where less than all would read as ``100 %``."""
    if share is None:
        return UNKNOWN
    while digits < _MOST_DIGITS and share < 1 and float(f"{100 * share:.{digits}f}") == 100.0:
        digits += 1
    return f"{100 * share:.{digits}f} %"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points: ``-0.0044`` as ``-0.44 points``."""
    return UNKNOWN if difference is None else f"{100 * difference:+.2f} points"


def change(before: float, after: float) -> str:
    """The relative change: ``-11.3 %``; a word where there is no base to relate to."""
    if before == after:
        return "same"
    if not before:
        return "from zero"
    percents = 100 * (after / before - 1)
    return f"{percents:+.3g} %" if abs(percents) < 1000 else f"{percents:+.0f} %"


def _scientific(value: float, digits: int = _DIGITS) -> tuple[float, int]:
    """Mantissa and power of ten AFTER rounding to so many digits, so that 999.9 becomes 1.00e3 and not 1000e0."""
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return float(mantissa), int(power)


def _fixed(mantissa: float, shift: int, digits: int = _DIGITS) -> str:
    return f"{mantissa * 10.0**shift:.{max(0, digits - 1 - shift)}f}"
