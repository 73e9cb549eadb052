"""Inner loops of counting: what a population sent is read once and made a bit an event; the bits are counted.

Arrays are seen as ``[B, Q]``: samples, and positions in the order of memory. A word holds the bits of 64 positions, the
last word of a sample 0 where there are no more positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array
from snn2chip.hw_models.compiled import compiled, entry

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Lists = tuple[Ints, Ints, Ints]

#: Positions that are counted over all samples before the next ones: few enough for the nearest cache.
TILE = 2048
#: Counters of single bits hold sums up to 2**PLANES - 1.
PLANES = 7


@entry
def pack(values: Array, totals: Ints, summed: Array, words: Words) -> None:
    """Make the values ``[B, Q]`` that are not 0 bits, and add up the values.

    Args:
        totals: ``[Q]``: the sum of the values is added; of length 0 where nobody asks for it.
        summed: ``[TILE]``, scratch, of a type that holds a sum over B values exactly.
        words: ``[B, ceil(Q / 64)]``: all 0; gets a bit of 1 for an event.
    """
    batch, size = values.shape
    seen = np.zeros(TILE, np.uint8)
    for begin in range(0, size, TILE):
        count = min(TILE, size - begin)
        seen[count:] = 0
        summed[:] = 0
        for b in range(batch):
            row = values[b, begin : begin + count]  # a slice of its own: an offset hinders the compiler
            if len(totals):
                for p in range(count):
                    summed[p] += row[p]
            for p in range(count):
                seen[p] = np.uint8(row[p] > 0)
            _gather(seen, words[b, begin // 64 : (begin + count + 63) // 64])
        if len(totals):
            for p in range(count):
                totals[begin + p] += np.int64(summed[p])


@compiled
def _gather(seen: Bytes, words: Words) -> None:
    """Eight bytes of 0 and 1 become one byte, by a product whose highest byte has them side by side."""
    eights, found = seen.view(np.uint64), words.view(np.uint8)
    for w in range(len(found)):
        found[w] = np.uint8((eights[w] * np.uint64(0x0102040810204080)) >> np.uint64(56))


@entry
def count_bits(words: Words, counts: Ints) -> None:
    """Add to ``counts [Q]`` in how many of the samples of ``words [B, ceil(Q / 64)]`` the bit of a position is 1.

    A counter of every bit lies across `PLANES` words, so that 64 of them are increased by the same few operations.
    """
    batch, width = words.shape
    planes = np.empty((PLANES, TILE // 64), np.uint64)
    carry = np.empty(TILE // 64, np.uint64)
    for first in range(0, batch, 2**PLANES - 1):
        last = min(first + 2**PLANES - 1, batch)
        used = 1
        while last - first >= 1 << used:
            used += 1
        for begin in range(0, width, TILE // 64):
            size = min(TILE // 64, width - begin)
            planes[:] = 0
            for b in range(first, last):
                carry[:size] = words[b, begin : begin + size]
                for k in range(used):
                    for w in range(size):
                        before = planes[k, w]
                        planes[k, w] = before ^ carry[w]
                        carry[w] &= before
            _spread(planes[:used, :size], counts[begin * 64 : (begin + size) * 64])


@compiled
def _spread(planes: Words, counts: Ints) -> None:
    """Add the counters that lie across `planes` to ``counts``."""
    found = np.empty(64, np.int64)
    for w in range(planes.shape[1]):
        found[:] = 0
        for k in range(len(planes)):
            word = planes[k, w]
            for p in range(64):
                found[p] += np.int64(((word >> np.uint64(p)) & np.uint64(1)) << np.uint64(k))
        for p in range(min(64, len(counts) - 64 * w)):
            counts[64 * w + p] += found[p]


@entry
def add_work(
    words: Words,
    cells: tuple[Ints, Ints, Words],
    classes: int,
    patterns: Lists,
    sums: Lists,
    terms: tuple[Ints, Ints, Ints, Floats],
    work: Floats,
) -> None:
    """Add to ``work [B, cores]`` what the bits of ``words [B, W]`` cause, as `snn2chip.hw_models.loads.Plan` has it."""
    begins, places, masks = cells
    #: Bits of each class in all segments before.
    before = np.zeros((len(begins) // max(classes, 1) + 1, classes), np.int64)
    found = np.empty(len(sums[0]), np.int64)
    for b in range(len(words)):
        row = words[b]
        for cell in range(len(begins) - 1):
            bits = np.int64(0)
            for entry_number in range(begins[cell], begins[cell + 1]):
                bits += _ones(row[places[entry_number]] & masks[entry_number])
            segment, kind = divmod(cell, classes)
            before[segment + 1, kind] = before[segment, kind] + bits
        _sum_cells(before, patterns, sums, found)
        _weigh(found, terms, work[b])


@compiled
def _ones(word: np.uint64) -> np.int64:
    """Bits that are 1: the compiler knows these lines, and makes them the machine's own instruction."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _sum_cells(
    before: NDArray[np.int64], patterns: tuple[Ints, Ints, Ints], sums: tuple[Ints, Ints, Ints], found: Ints
) -> None:
    begins, kinds, weights = patterns
    for s in range(len(found)):
        pattern, first, last = sums[0][s], sums[1][s], sums[2][s]
        total = 0
        for e in range(begins[pattern], begins[pattern + 1]):
            total += weights[e] * (before[last, kinds[e]] - before[first, kinds[e]])
        found[s] = total


@compiled
def _weigh(found: Ints, terms: tuple[Ints, Ints, Ints, Floats], work: Floats) -> None:
    begins, cores, which, cycles = terms
    for c in range(len(cores)):
        load = 0.0
        for t in range(begins[c], begins[c + 1]):
            load += found[which[t]] * cycles[t]
        work[cores[c]] += load
