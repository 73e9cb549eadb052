"""A search for inputs that make layers do what no input made them do: random changes, climbing from the nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snn2chip import interpreter
from snn2chip.certify.situations import CoverageObserver
from snn2chip.graph import Array, Graph
from snn2chip.ops import Input

#: So many inputs are tried, fewer where they would cost more than so many products.
EVALUATIONS, LARGEST_WORK = 1024, 2 * 10**10
#: Inputs that are tried at once, those of each set to start from, and those that are kept at most.
BATCH, STARTS, KEPT = 32, 32, 32


def search(graph: Graph, sets: Sequence[Array], work: int) -> Array:
    """Inputs that reach situations which the first `STARTS` of each of `sets` do not; uint8 ``[B, ...]``, B <= `KEPT`.

    The seed is fixed and the effort is counted, not timed: the same network and inputs give the same answer.
    Args: work, what one input costs (`snn2chip.certify.inputs.work`).
    """
    op = graph.input.op
    assert isinstance(op, Input)
    tries = min(EVALUATIONS, LARGEST_WORK // work)
    size = min(BATCH, tries)
    starts = np.concatenate([array[: max(1, min(STARTS, tries))] for array in sets])
    climb = _Climb(graph, starts, np.random.default_rng(0), op.largest)
    for _ in range(tries // size if size else 0):
        if not climb.unseen.size:
            break
        climb.advance(size)
    return climb.found()


class _Climb:
    """The nearest input to every situation, improved round by round."""

    def __init__(self, graph: Graph, starts: Array, rng: np.random.Generator, largest: int) -> None:
        self.graph, self.rng, self.largest = graph, rng, largest
        self.inputs: list[Array] = list(starts)
        self.given = len(starts)
        counts, nearness, self.reachable = self._measure(starts)
        self.seen = counts.any(axis=0)
        self.nearest = nearness.argmax(axis=0) if nearness.size else np.zeros(0, np.int64)
        self.nearness = nearness.max(axis=0) if nearness.size else np.zeros(0)
        self.reached: list[tuple[int, Array]] = []  # input and the situations that it reached first

    @property
    def unseen(self) -> Array:
        return np.flatnonzero(self.reachable & ~self.seen)

    def advance(self, size: int) -> None:
        """Change the nearest inputs to `size` unseen situations, and keep what came nearer."""
        targets = self.rng.choice(self.unseen, size)
        children = np.stack([self._child(self.inputs[self.nearest[target]]) for target in targets])
        counts, nearness, _ = self._measure(children)
        for child, count, near in zip(children, counts, nearness, strict=True):
            new = (count > 0) & ~self.seen
            # As near is enough: the search wanders on a plateau instead of standing still.
            nearer = (near >= self.nearness) & ~self.seen
            if not (new.any() or nearer.any()):
                continue
            self.nearest[nearer], self.nearness[nearer] = len(self.inputs), near[nearer]
            if new.any():
                self.reached.append((len(self.inputs), np.flatnonzero(new)))
                self.seen |= new
            self.inputs.append(child)

    def found(self) -> Array:
        """The inputs that reached most, in the order in which they were found."""
        best = sorted(self.reached, key=lambda entry: -len(entry[1]))[:KEPT]
        kept = [self.inputs[place] for place in sorted(place for place, _ in best)]
        return np.stack(kept) if kept else np.zeros((0, *self.inputs[0].shape), np.uint8)

    def _measure(self, inputs: Array) -> tuple[Array, Array, Array]:
        observer = CoverageObserver(self.graph)
        interpreter.run(self.graph, inputs, [observer])
        return observer.counts, observer.nearness, observer.reachable

    def _child(self, parent: Array) -> Array:
        kind = int(self.rng.integers(len(_CHANGES)))
        return _change(kind, self.rng, parent, self.inputs[self.rng.integers(len(self.inputs))], self.largest)


def changed(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    """`parent` after one random change, uint8 with values 0..largest; `other` lends a part of itself to some."""
    return _change(int(rng.integers(len(_CHANGES))), rng, parent, other, largest)


def _change(kind: int, rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    return np.clip(_CHANGES[kind](rng, parent.astype(np.int64), other, largest), 0, largest).astype(np.uint8)


def _box(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A random part of every axis."""
    ends = [sorted(rng.integers(0, length + 1, 2)) for length in shape]
    return tuple(slice(int(first), max(int(first) + 1, int(last))) for first, last in ends)


def _scaled(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    scaled: Array = np.rint(parent * 2.0 ** rng.uniform(-2, 2)).astype(np.int64)
    return scaled


def _shifted(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    return parent + int(rng.integers(-largest, largest + 1))


def _noisy(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    most = 1 + int(rng.integers(largest))
    return parent + rng.integers(-most, most + 1, parent.shape)


def _sprinkled(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    chosen = rng.random(parent.shape) < 2.0 ** -rng.uniform(0, 6)
    return np.where(chosen, rng.choice([0, largest], parent.shape), parent)


def _patched(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    patched = parent.copy()
    patched[_box(rng, parent.shape)] = rng.choice([0, largest, int(rng.integers(largest + 1))])
    return patched


def _crossed(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    box = _box(rng, parent.shape)
    crossed = parent.copy()
    crossed[box] = other[box]
    return crossed


def _inverted(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    return largest - parent


def _constant_channels(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    """One value for each channel (and frame): the whole map alike."""
    leading = parent.shape[:-2] if parent.ndim > 2 else parent.shape
    values = rng.integers(0, largest + 1, leading)
    return np.broadcast_to(values.reshape(*leading, *(1,) * (parent.ndim - len(leading))), parent.shape)


def _rolled(rng: np.random.Generator, parent: Array, other: Array, largest: int) -> Array:
    axis = int(rng.integers(parent.ndim))
    return np.roll(parent, int(rng.integers(parent.shape[axis])), axis)


_CHANGES: tuple[Callable[[np.random.Generator, Array, Array, int], Array], ...] = (
    _scaled,
    _shifted,
    _noisy,
    _sprinkled,
    _patched,
    _crossed,
    _inverted,
    _constant_channels,
    _rolled,
)
