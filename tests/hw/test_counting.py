"""Bits, sums and loads of `hw_models.loops`, `loads` and `activity.reach`, against plain NumPy over all positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip.graph import Array, frozen
from snn2chip.hw_models import loops
from snn2chip.hw_models.activity import reach, sum_type
from snn2chip.hw_models.loads import Loads, Words
from snn2chip.lowering import Projection
from snn2chip.ops import Conv2d, SumPool2d


def packed(mask: Array) -> Words:
    """Bits of a mask ``[B, Q]``, one by one."""
    words = np.zeros((len(mask), -(-mask.shape[1] // 64)), np.uint64)
    for sample, position in zip(*mask.nonzero(), strict=True):
        words[sample, position // 64] |= np.uint64(1) << np.uint64(position % 64)
    return words


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 127, 128, 260]),
    st.sampled_from([1, 7, 63, 64, 65, 200, 2048, 2049, 4100]),
    st.sampled_from(["float32", "int32"]),
)
def test_values_become_bits_sums_and_counts(seed: int, batch: int, size: int, dtype: str) -> None:
    values = np.random.default_rng(seed).integers(-3, 4, (batch, size)).clip(0)
    words = np.zeros((batch, -(-size // 64)), np.uint64)
    totals, counts = np.full(size, 5, np.int64), np.full(size, 7, np.int64)
    loops.pack(values.astype(dtype), totals, np.empty(loops.TILE, dtype), words)
    loops.count_bits(words, counts)
    assert np.array_equal(words, packed(values > 0))
    assert np.array_equal(totals, 5 + values.sum(axis=0))
    assert np.array_equal(counts, 7 + (values > 0).sum(axis=0))


def test_sums_beyond_float32_stay_exact() -> None:
    """3 x (2**24 - 1) is odd and above 2**24, where float32 holds even numbers only."""
    values, totals = np.full((3, 70), 2**24 - 1, np.float32), np.zeros(70, np.int64)
    scratch = np.empty(loops.TILE, sum_type(values.dtype, 3 * (2**24 - 1)))
    loops.pack(values, totals, scratch, np.zeros((3, 2), np.uint64))
    assert (totals == 3 * (2**24 - 1)).all()


@pytest.mark.parametrize(("name", "largest"), [("float32", 2**24), ("float64", 2**53), ("int32", 2**31 - 1)])
def test_sums_are_kept_in_the_type_of_the_values_while_it_holds_them(name: str, largest: int) -> None:
    dtype: np.dtype[Any] = np.dtype(name)
    assert sum_type(dtype, largest) == dtype
    assert sum_type(dtype, largest + 1) == np.int64


SHAPES = [(1,), (70,), (512,), (4, 3, 5), (8, 4, 4), (6, 8, 8), (3, 12, 16), (64, 1, 1)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.integers(1, 6))
def test_loads_are_weighted_sums_of_events(seed: int, shape: tuple[int, ...], cores: int) -> None:
    """Boxes of places in ranges of channels, and weights that differ from channel to channel."""
    rng, batch = np.random.default_rng(seed), 3
    loads, expected = Loads(shape), np.zeros((batch, cores))
    mask = (rng.random((batch, *shape)) < 0.4).astype(np.uint8)
    for core in rng.integers(0, cores, 2 * cores):
        places = np.zeros(shape, np.int64)
        box = tuple(slice(*sorted(rng.integers(0, size + 1, 2).tolist())) for size in shape)
        places[box] = rng.integers(1, 10)
        weight = rng.integers(0, 3, shape[0]) if rng.random() < 0.3 else np.full(shape[0], 0.5)
        loads.add([int(core)], weight, loads.rows(places))
        along = weight.reshape(-1, *[1] * (len(shape) - 1))
        expected[:, core] += (mask * places * along).reshape(batch, -1).sum(axis=1)
    work = np.full((batch, cores), 2.0)
    if loads.is_empty:
        assert not expected.any()
        return
    plan = loads.plan
    words = packed(mask.reshape(batch, -1))
    loops.add_work(words, plan.cells, plan.classes, plan.patterns, plan.sums, plan.terms, work)
    assert np.array_equal(work, 2 + expected)  # halves: exact in any order


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_events_reach_where_a_window_meets_them(data: st.DataObject) -> None:
    """Against the convolution and the sum themselves, with weights of 1: what is above 0 was reached."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation, groups = data.draw(st.tuples(pair, pair, pair, st.sampled_from([1, 2, 4])))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = tuple(data.draw(st.integers((kernel[axis] - 1) * dilation[axis] + 1, 9)) for axis in (0, 1))
    events = (np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).random((2, 4, *size)) < 0.2).astype(np.uint8)
    ones = frozen(np.ones((8, 4 // groups, *kernel)), np.int8)
    pooled = tuple(data.draw(st.integers(0, each // 2)) for each in kernel)
    conv = Conv2d(ones, None, stride, padding, dilation, groups)
    for op in (conv, SumPool2d(kernel, stride, (pooled[0], pooled[1]))):
        projection = Projection("a", "b", "op", op, (4, *size), (4, *size), 0)
        expected = op.step((events.astype(np.int32),), None)[0] > 0
        assert np.array_equal(reach(projection, events), expected)
