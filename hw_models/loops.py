"""Inner loops of counting: one pass over what a population sent.

Arrays are seen as ``[B, C, P]``: samples, channels, places. Patterns ``[K, P]`` are int32 weights of the places; a sum
over a pattern has to stay below 2**31.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array
from snn2chip.hw_models.compiled import entry

Bytes = NDArray[np.uint8]
Ints32 = NDArray[np.int32]
Ints64 = NDArray[np.int64]


@entry
def tally(
    values: Array,
    patterns: Ints32,
    events: Ints64,
    totals: Ints64,
    summed: Array,
    mask: Bytes,
    counts: Ints32,
) -> None:
    """Count the values ``[B, C, P]`` that are not 0.

    Args:
        events, totals: ``[C, P]``: the number of events and the sum of the values are added.
        summed: ``[P]``, scratch, of an integer type that holds a sum over B values.
        mask: ``[B, C, P]``: 1 where there is an event, else 0; of length 0 where nobody asks for it.
        counts: ``[B, C, K]``: sum of each pattern over the events of a sample and channel.
    """
    batch, channels, places = values.shape
    seen, fired = np.empty(places, np.int32), np.empty(places, np.int32)
    for c in range(channels):
        fired[:] = 0
        summed[:] = 0
        for b in range(batch):
            for p in range(places):
                value = values[b, c, p]
                event = np.int32(value > 0)
                seen[p] = event
                fired[p] += event
                summed[p] += np.int32(value)
            if len(mask):
                for p in range(places):
                    mask[b, c, p] = seen[p]
            for k in range(len(patterns)):
                total = np.int32(0)  # in 32 bits throughout: twice as fast
                for p in range(places):
                    total = np.int32(total + np.int32(seen[p] * patterns[k, p]))
                counts[b, c, k] = total
        for p in range(places):
            events[c, p] += fired[p]
            totals[c, p] += summed[p]


@entry
def sum_patterns(mask: Bytes, patterns: Ints32, active: Ints64, counts: Ints32) -> None:
    """As `tally`, of a mask ``[B, C, P]``: ``active [C, P]`` gets what is not 0 added, ``counts`` is ``[B, C, K]``."""
    batch, channels, places = mask.shape
    seen, found = np.empty(places, np.int32), np.empty(places, np.int32)
    for c in range(channels):
        found[:] = 0
        for b in range(batch):
            for p in range(places):
                seen[p] = np.int32(mask[b, c, p])
                found[p] += seen[p]
            for k in range(len(patterns)):
                total = np.int32(0)
                for p in range(places):
                    total = np.int32(total + np.int32(seen[p] * patterns[k, p]))
                counts[b, c, k] = total
        for p in range(places):
            active[c, p] += found[p]
