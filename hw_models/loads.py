"""Work of each core that is linear in the events of a population, prepared so that single bits can be counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array, Shape

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Positions of a population, in the order of memory, to a word of bits.
WORD = 64


@dataclass(frozen=True)
class Row:
    """One spatial pattern of a population's positions, and the channels that have it."""

    number: int
    channels: NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """What `snn2chip.hw_models.loops.add_work` reads: lists of unequal length, each with where its parts begin.

    Positions that weigh the same in everything that is asked for form a *cell*: a class of places in a segment of
    channels. A *sum* adds the events of some segments, each as often as a pattern says of its class. The work of a core
    is made of *terms*: a sum and the cycles of each.

    Attributes:
        cells: begins, words and masks of the positions in each cell; cells are ordered by segment, then by class.
        classes: the number of classes of places.
        patterns: begins, classes and weights of each pattern.
        sums: pattern, first segment and end of the segments of each sum.
        terms: begins of each core's terms, the cores, and the sum and the cycles of each term.
    """

    cells: tuple[Ints, Ints, Words]
    classes: int
    patterns: tuple[Ints, Ints, Ints]
    sums: tuple[Ints, Ints, Ints]
    terms: tuple[Ints, Ints, Ints, Floats]


class Loads:
    """Loads per core that are linear in a 0/1 mask over a population's positions.

    A load is a sum of terms ``weight[channel] * pattern[row, column]``. Layers repeat few patterns over many channels
    and cores.
    """

    def __init__(self, shape: Shape) -> None:
        self.channels = shape[0]
        self.places = math.prod(shape[1:])
        self._patterns: dict[bytes, tuple[int, Ints]] = {}
        #: Core, pattern, first channel, end of the channels, weight; those of all channels, and the others.
        self._uniform: list[tuple[int, int, int, int, float]] = []
        self._by_channel: list[tuple[int, int, int, int, float]] = []

    def rows(self, places: Array) -> list[Row]:
        """The spatial patterns of ``places [C, *spatial]`` (the same for many channels, as a rule)."""
        rows = places.reshape(self.channels, self.places).astype(np.int64, copy=False)
        left, found = rows.any(axis=1), []
        while left.any():
            row = rows[np.argmax(left)]
            same = left & (rows == row).all(axis=1)
            number, _ = self._patterns.setdefault(row.tobytes(), (len(self._patterns), row))
            found.append(Row(number, same))
            left &= ~same
        return found

    def add(self, cores: Sequence[int], weight: Array, rows: list[Row]) -> None:
        """Add ``weight [C]`` times what `rows` made of the places to each of the cores."""
        for row in rows:
            self._add(cores, row.number, np.where(row.channels, weight, 0.0))

    def _add(self, cores: Sequence[int], number: int, weight: Floats) -> None:
        bounds = [0, *(np.flatnonzero(np.diff(weight)) + 1).tolist(), self.channels]
        terms = self._uniform if len(bounds) == 2 else self._by_channel
        for first, end in pairwise(bounds):
            if weight[first]:
                terms += [(core, number, first, end, float(weight[first])) for core in cores]

    @property
    def is_empty(self) -> bool:
        return not (self._uniform or self._by_channel)

    @cached_property
    def plan(self) -> Plan:
        """How to find the loads; nothing can be added once this was asked for."""
        core, pattern, first, end, scale = zip(*self._uniform, *self._by_channel, strict=True)
        bounds = np.unique([0, *first, *end])
        classes, weights = self._classes()
        keys = np.stack([pattern, np.searchsorted(bounds, first), np.searchsorted(bounds, end)])
        sums, which = np.unique(keys, axis=1, return_inverse=True)
        order = np.argsort(core, kind="stable")  # terms of one core keep their order, for sums of floats depend on it
        cores, begins = np.unique(np.array(core)[order], return_index=True)
        used, classes_used = weights.nonzero()
        return Plan(
            cells=self._cells(bounds, classes, weights),
            classes=weights.shape[1],
            patterns=(_begins(used, len(weights)), classes_used, weights[used, classes_used]),
            sums=(sums[0].copy(), sums[1].copy(), sums[2].copy()),
            terms=(np.append(begins, len(core)), cores, which.reshape(-1)[order], np.array(scale)[order]),
        )

    def _classes(self) -> tuple[Ints, Ints]:
        """The class of each place ``[P]``, and the weight of each class in each pattern ``[K, classes]``."""
        rows = np.stack([row for _, row in self._patterns.values()])
        columns, classes = np.unique(rows.T, axis=0, return_inverse=True)
        return classes.reshape(-1), np.ascontiguousarray(columns.T)

    def _cells(self, bounds: Ints, classes: Ints, weights: Ints) -> tuple[Ints, Ints, Words]:
        """Begins, words and masks of the cells: a few channels that fill whole words are laid out, then repeated."""
        period = WORD // math.gcd(self.places, WORD)
        period = period if self.channels % period == 0 else self.channels
        position = np.arange(period * self.places)
        position = position[(weights[:, classes[position % self.places]] != 0).any(axis=0)]
        words = -(-self.channels * self.places // WORD)
        kept = position // self.places * len(classes) + classes[position % self.places]
        keys, masks = _merged(kept * words + position // WORD, np.uint64(1) << (position % WORD).astype(np.uint64))
        repeats = np.arange(self.channels // period)[:, None]
        channel = (keys // words // len(classes) + repeats * period).reshape(-1)
        place_class = np.tile(keys // words % len(classes), len(repeats))
        word = (keys % words + repeats * (period * self.places // WORD)).reshape(-1)
        cell = (np.searchsorted(bounds, channel, side="right") - 1) * weights.shape[1] + place_class
        keys, masks = _merged(cell * words + word, np.tile(masks, len(repeats)))
        return _begins(keys // words, (len(bounds) - 1) * weights.shape[1]), keys % words, masks


def _merged(keys: Ints, masks: Words) -> tuple[Ints, Words]:
    """Each key once, in order, with all bits of its masks."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[begins], np.bitwise_or.reduceat(masks[order], begins)


def _begins(numbers: Ints, count: int) -> Ints:
    """Where each of 0 .. count begins in the ordered `numbers`."""
    return np.searchsorted(numbers, np.arange(count + 1))
