"""What a chip file may state, and what its numbers have to be: checked on reading, so that no model ever divides by
zero and nothing is free because nobody knew its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from snn2chip.hw_models.quantity import Malformed, Quantity, Table

#: Dimension of the numbers in each section; ``choices`` and ``sources`` hold text.
SECTIONS: Mapping[str, str] = {
    "structure": "count",
    "limits": "count",
    "capacity": "information",
    "words": "information",
    "prices": "energy",
    "times": "time",
    "power": "power",
    "clock": "frequency",
}

#: Keys of every section but ``prices`` and ``times`` (which hold actions), by model.
KEYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "neurocore": {
        "structure": ("cores", "cores_per_tile", "tile_columns"),
        "limits": ("neurons_per_core", "axons_in_per_core", "axons_out_per_core", "buffer_messages"),
        "capacity": ("payload", "synapse", "state", "delay", "core"),
        "words": ("synapse", "axon_in", "axon_out"),
        "choices": ("idle_neurons", "weight_sharing"),
        "clock": ("frequency",),
        "power": ("static",),
    },
    "formula": {"structure": ("queue_words",), "words": ("access", "word"), "choices": ("counting",)},
    "array": {
        "structure": ("rows", "columns"),
        "words": ("access",),
        "choices": ("zero_skipping",),
        "clock": ("frequency",),
        "power": ("static",),
    },
}


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` where a known word is near, else all of them."""
    words = sorted(known)
    if near := get_close_matches(word, words, n=1):
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(words) or 'none'}"


def check_number(section: str, key: str, number: Quantity) -> None:
    """Raises Malformed where a model could not work with `number` (SI units, information in bits)."""
    bounds = (number.range.low, number.range.nominal, number.range.high)
    dimension = SECTIONS[section]
    if dimension == "energy" and number.value == 0:
        raise Malformed("a price of 0 would make the action free: say included_in, or absent with a reason")
    if dimension == "frequency" and bounds[0] <= 0:
        raise Malformed(f"it is {number.text}, but it must be above 0: give the clock, 1 GHz where a cycle is 1 ns")
    if dimension == "power" and number.value == 0:
        raise Malformed("a power of 0 would make time free: leave the key out, and reports call static power unknown")
    if number.is_open and dimension in ("count", "information", "frequency") and key != "access":
        raise Malformed(
            f"it is {number.text}, but only prices, times, the static power and words.access may be ranges, for no "
            "other one reaches a report: give value, and write a file for each end"
        )
    if dimension in ("count", "information"):
        _check_whole(number.text, bounds, 0 if key == "payload" else 1, "1" if dimension == "count" else "bit")


def _check_whole(text: str, bounds: tuple[float, ...], least: int, unit: str) -> None:
    if not all(bound.is_integer() and bound >= least for bound in bounds):
        what = "a whole number" if unit == "1" else "a whole number of bits"
        raise Malformed(f"it is {text}, but it must be {what}: give {least} or more")


def check_table(model: str, section: str, action: str, table: Table) -> None:
    """Raises Malformed where the model would not look into `table`, or would find a free action in it."""
    if model == "neurocore" and (section, action) != ("times", "barrier"):
        raise Malformed("points are for the time of the barrier only: give value, or low, nominal and high")
    if section == "prices" and any(y == 0 for x, y in zip(table.x, table.y, strict=True) if x > 0):
        raise Malformed("a price of 0 would make the action free: give points above 0 (only x = 0 may cost 0)")
