"""How many messages go from core to core, as few numbers: cores that the same events reach are named together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array
from snn2chip.hw_models.needs import by_pattern, rows_of
from snn2chip.hw_models.placement import Placement, Slot
from snn2chip.lowering import Projection, Role

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """Every source core sends the same messages to each of the target cores.

    Attributes:
        sources: numbers of cores ``[sources]``; empty for what the input sends.
        sent: messages of each source to each target, float64 ``[sources]``; ``[1]`` for the input.
        targets: numbers of cores ``[targets]``.
    """

    sources: Ints
    sent: Floats
    targets: Ints

    @property
    def enters(self) -> bool:
        """Whether the messages come from the input."""
        return not len(self.sources)


def flows_of(placement: Placement, events: Mapping[str, Array] | None = None) -> tuple[Flow, ...]:
    """All messages between cores, and from the input to them.

    Args:
        events: per population, how often each neuron fires ``[*shape]``; None: every neuron once.
    """
    return tuple(
        flow
        for population in placement.network.populations
        for projection in population.projections
        for flow in _flows(placement, projection, events)
    )


def _flows(placement: Placement, projection: Projection, events: Mapping[str, Array] | None) -> Iterator[Flow]:
    source = placement.network[projection.source]
    sent = np.ones(source.shape, np.int64) if events is None else events[source.name]
    slots, regions = placement.slots[projection.target], placement.regions[projection.target]
    for places in by_pattern(projection, regions):
        reached = sent * (projection.fan_out(regions[places[0]]) > 0)
        targets = np.array([slots[place].index for place in places], np.int64)
        if source.role is Role.INPUT:
            yield Flow(np.zeros(0, np.int64), np.array([float(reached.sum())]), targets)
            continue
        homes = placement.slots[source.name]
        of_core = _per_core(reached, homes)
        some = np.flatnonzero(of_core)
        if len(some):
            yield Flow(some + homes[0].index, of_core[some], targets)


def _per_core(values: Array, homes: tuple[Slot, ...]) -> Floats:
    """The sums of a map over the regions of `homes`, which are a grid of channels and rows."""
    by_row = values.reshape(len(values), rows_of(values.shape), -1).sum(axis=2)
    first = sorted({home.region.channels.start for home in homes}), sorted({home.region.rows.start for home in homes})
    sums = np.add.reduceat(np.add.reduceat(by_row, first[0], axis=0), first[1], axis=1)
    return np.asarray(sums.ravel(), np.float64)


def links_crossed(flows: tuple[Flow, ...], tiles: Ints, tile_columns: int) -> float:
    """Messages times the links and borders between chips that they cross; ``tiles [cores, 2]``: column and row of each.

    The input enters at column 0, row 0; chips of `tile_columns` columns stand side by side.
    """
    columns, rows = tiles.T
    across, along = distances(int(columns.max()) + 1, tile_columns), distances(int(rows.max()) + 1)
    total = 0.0
    for flow in flows:
        for places, distance in ((columns, across), (rows, along)):
            at = np.zeros(1, np.int64) if flow.enters else places[flow.sources]
            out = np.bincount(at, flow.sent, len(distance))
            into = np.bincount(places[flow.targets], minlength=len(distance))
            total += float(out @ distance @ into)
    return total


def distances(count: int, tile_columns: int = 0) -> Floats:
    """Links between any two columns (with the borders between chips of `tile_columns` columns) or rows."""
    at = np.arange(count)
    found = np.abs(at[:, None] - at[None, :])
    if tile_columns:
        found = found + np.abs(at[:, None] // tile_columns - at[None, :] // tile_columns)
    return np.asarray(found, np.float64)
