"""How the events of a projection become messages between cores: maps over the positions of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snn2chip.graph import Array, Region
from snn2chip.hw_models.needs import pattern_key
from snn2chip.hw_models.placement import Placement, Slot
from snn2chip.lowering import Projection


@dataclass(frozen=True)
class Traffic:
    """How the events of one projection become messages: int64 maps over the positions of the source.

    Attributes:
        messages: cores that an event goes to.
        hops_x, hops_y: links between tiles that its messages cross.
        crossings: borders between chips that its messages cross.
    """

    messages: Array
    hops_x: Array
    hops_y: Array
    crossings: Array


def traffic_of(placement: Placement, projection: Projection) -> Traffic:
    """The traffic of a projection."""
    zeros = np.zeros(projection.shape, dtype=np.int64)
    found = Traffic(zeros, zeros.copy(), zeros.copy(), zeros.copy())
    x, y, chip = _homes(placement, projection.source)
    if projection.is_identity:
        to_x, to_y, to_chip = (homes.reshape(projection.shape) for homes in _homes(placement, projection.target))
        return Traffic(zeros + 1, np.abs(x - to_x), np.abs(y - to_y), np.abs(chip - to_chip))
    for slots in alike(placement, projection):
        _, places = met_and_places(projection, slots[0].region)
        reached = (places > 0).astype(np.int64)
        found.messages[...] += len(slots) * reached
        found.hops_x[...] += reached * _distances(x, [slot.x for slot in slots])
        found.hops_y[...] += reached * _distances(y, [slot.y for slot in slots])
        found.crossings[...] += reached * _distances(chip, [slot.chip for slot in slots])
    return found


def words_met(projection: Projection, met: Array, word_bits: int) -> Array:
    """Words of synaptic memory, `word_bits` wide, that hold the weights of the channels met at one place."""
    if not projection.is_weighted:
        return np.zeros_like(met)
    return -(-met * projection.weight_bits // word_bits)


def alike(placement: Placement, projection: Projection) -> list[list[Slot]]:
    """The cores of the target, grouped by what of the source reaches them, and with how many channels."""
    groups: dict[Any, list[Slot]] = {}
    for slot in placement.slots[projection.target]:
        key = (*pattern_key(projection, slot.region), len(slot.region.channels))
        groups.setdefault(key, []).append(slot)
    return list(groups.values())


def _homes(placement: Placement, name: str) -> tuple[Array, Array, Array]:
    """Tile and chip of every neuron of a population; the input enters at tile 0, 0 of the first chip."""
    shape = placement.network[name].shape
    x, y, chip = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for slot in placement.slots[name]:
        where: tuple[slice, ...] = (slice(slot.region.channels.start, slot.region.channels.stop),)
        if len(shape) > 1:
            where += (slice(slot.region.rows.start, slot.region.rows.stop),)
        x[where], y[where], chip[where] = slot.x, slot.y, slot.chip
    return x, y, chip


def met_and_places(projection: Projection, region: Region) -> tuple[Array, Array]:
    """Channels met ``[C]`` and target places ``[*shape]`` of each source position: their product is the fan-out."""
    met, fan_out = projection.channels_met(region), projection.fan_out(region)
    if met.max(initial=0) <= 1:
        return met, fan_out
    return met, fan_out // along_channels(np.maximum(met, 1), fan_out)


def along_channels(values: Array, like: Array) -> Array:
    """``values [C]``, shaped so that they broadcast over the places of ``like [C, *spatial]``."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def _distances(positions: Array, targets: list[int]) -> Array:
    """For every position on an axis, the sum of its distances to the targets."""
    sums = np.abs(np.arange(positions.max() + 1)[:, None] - np.array(targets)).sum(axis=1)
    return np.asarray(sums[positions])
