"""What one step of a potential makes of the step before, read off the coefficients of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn2chip.frontend.values import EVERY, Product, Term, at
from snn2chip.graph import Array, frozen
from snn2chip.ops.lif import Reset

#: Constants of two steps are equal within this: they are the same numbers, combined by different float64 operations.
TOLERANCE = 1e-9
ZERO = frozen(np.zeros(()))

Terms = Mapping[Term, Array]


@dataclass(frozen=True)
class Potential:
    """A potential at one step, as a weighted sum.

    Attributes:
        source: the node that drives it.
        gain: what one unit of that node adds to it at its own step.
        terms: the sum.
    """

    source: str
    gain: Array
    terms: Terms


@dataclass(frozen=True)
class Recurrence:
    """``v(t) = decay * v(t-1) - taken * z(t-1) + gain * (i(t) + fade * i(t-1) + ...)``, or with v(t-1) cleared."""

    decay: Array
    fade: Array
    reset: Reset
    taken: Array

    def equals(self, other: Recurrence) -> bool:
        """Whether both are the same but for rounding."""
        same = self.reset == other.reset
        return same and all(equal(getattr(self, n), getattr(other, n)) for n in ("decay", "fade", "taken"))


def equal(first: Any, second: Any) -> bool:
    """Whether constants are equal but for rounding."""
    return bool(np.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE * 1e-3))


def recurrence(
    before: Potential, terms: Terms, step: int, spikes: str, fade: Array | None, decay: Array | None = None
) -> Recurrence | None:
    """How `terms`, at `step`, follow from `before`; None where they do not.

    Args:
        spikes: the node whose spikes reset the potential, which also names its cleared potential; "" where none does.
        fade: that of the steps before, where it is known.
        decay: the leak, where it is known.
    """
    rest = dict(terms)
    spiked = rest.pop((spikes, at(step - 1)), ZERO)
    cleared = rest.pop(Product(spikes, step - 1), ZERO)
    if np.any(cleared):
        if np.any(spiked):
            return None  # reset to something else than 0
        decay, reset, taken = -cleared, "zero", ZERO
    else:
        found = _decay(before, rest, step) if decay is None else decay
        if found is None:
            return None
        decay, reset = found, "subtract" if np.any(spiked) else "none"
        taken = -spiked
    faded = _fade(before, _less(rest, before.terms, decay), step, fade)
    return None if faded is None else Recurrence(decay, faded, reset, taken)  # type: ignore[arg-type]


def separated(before: Potential, terms: Terms, spikes: str) -> Recurrence | None:
    """How `terms`, at step 2, follow from `before`, at step 1, where both leak and synaptic current fade.

    Step 1 shows their sum alone. From step 2 on, what the spikes of step 0 took shows the leak.
    """
    taken = before.terms.get((spikes, at(0)))
    if taken is None or not taken.all():
        return None
    time = EVERY if (before.source, EVERY) in before.terms else at(0)
    decay: Array = terms.get((spikes, at(0)), ZERO) / taken
    start = Potential(before.source, before.gain, {(before.source, time): before.gain})
    first = recurrence(start, before.terms, 1, spikes, None, decay)
    second = None if first is None else recurrence(before, terms, 2, spikes, first.fade, decay)
    return second if first is not None and second is not None and first.equals(second) else None


def _decay(before: Potential, rest: Terms, step: int) -> Array | None:
    """The leak, from what is left of the input of the step before."""
    shown, shown_before = rest.get((before.source, EVERY)), before.terms.get((before.source, EVERY))
    if shown is not None and shown_before is not None:  # the same input at every step
        return (shown - before.gain) / shown_before
    given = before.terms.get((before.source, at(step - 1)))
    if (before.source, at(step)) not in rest or given is None:
        return None
    left: Array = rest.get((before.source, at(step - 1)), ZERO) / given
    return left


def _less(terms: Terms, other: Terms, factor: Array) -> dict[Term, Array]:
    """``terms - factor * other``, without what cancels."""
    rest = dict(terms)
    for term, coefficient in other.items():
        size = np.abs(rest.get(term, ZERO)) + np.abs(factor * coefficient)
        left = rest.get(term, ZERO) - factor * coefficient
        rest[term] = np.where(np.abs(left) <= TOLERANCE * size, 0.0, left)
    return {term: coefficient for term, coefficient in rest.items() if np.any(coefficient)}


def _fade(before: Potential, driven: Terms, step: int, fade: Array | None) -> Array | None:
    """How fast the synaptic current fades, 0 where there is none; None where `driven` is no such current."""
    shown = driven.get((before.source, EVERY))
    if shown is not None:
        fade = _snapped(shown / before.gain - 1) if fade is None else fade
        expected = before.gain * sum(fade**k for k in range(step + 1))
        return fade if len(driven) == 1 and equal(shown, expected) else None
    given = [driven.get((before.source, at(k)), ZERO) for k in range(step + 1)]
    if sum(bool(np.any(c)) for c in given) != len(driven) or not equal(given[step], before.gain):
        return None
    found = _snapped(given[step - 1] / before.gain)
    right = all(equal(given[k], before.gain * found ** (step - k)) for k in range(step))
    return found if right else None


def _snapped(values: Array) -> Array:
    """0 where a difference of equal numbers left a rounding error."""
    return np.where(np.abs(values) <= TOLERANCE, 0.0, values)
