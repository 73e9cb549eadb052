"""Which core every neuron sits on, and how many synapses lead from a neuron to each core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Array
from snn2chip.hw_models.placement import Placement
from snn2chip.lowering import Population, Projection
from snn2chip.ops import Conv2d, Linear, MaxPool2d, SumPool2d, Upsample2d

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CoreMap:
    """Neurons on the cores of a mesh.

    Attributes:
        home: per population, the core of every neuron in C order: int64 ``[n]``.
        x, y: the tile of every core, in tiles: int64 ``[cores]``.
    """

    home: Mapping[str, Ints]
    x: Ints
    y: Ints

    @property
    def cores(self) -> int:
        return len(self.x)

    @property
    def tiles(self) -> int:
        """Tiles with at least one neuron on them."""
        used = np.unique(np.concatenate(list(self.home.values())))
        return len(np.unique(np.stack([self.x[used], self.y[used]]), axis=1).T)


def mapping_of(placement: Placement) -> CoreMap:
    """The placed network; its input sits on a core more, the last one, at tile 0, 0.

    Raises GraphError where one chip does not hold the network: SANA-FE describes one mesh.
    """
    if placement.chips > 1:
        raise GraphError(
            f"the network takes {placement.cores} cores on {placement.chips} chips, but SANA-FE describes one chip: "
            "choose a smaller network"
        )
    slots = sorted((slot for found in placement.slots.values() for slot in found), key=lambda slot: slot.index)
    home = {}
    for name, found in placement.slots.items():
        shape = placement.network[name].shape
        cores = np.full(shape, len(slots), dtype=np.int64)  # the input's, where there are no slots
        for slot in found:
            cores[slot.region.mask(shape) > 0] = slot.index
        home[name] = cores.reshape(-1)
    x, y = (np.array([*(getattr(slot, axis) for slot in slots), 0], dtype=np.int64) for axis in "xy")
    return CoreMap(home, x, y)


def synapses_to_cores(projection: Projection, target: Population, home: Ints, cores: int) -> Ints:
    """In-bounds synapses from every source neuron to each core, zero weights included: int64 ``[n, cores]``."""
    used, where = np.unique(home, return_inverse=True)
    marks = (where.reshape(1, *target.shape) == np.arange(len(used)).reshape(-1, *[1] * len(target.shape))).astype(
        np.int64
    )
    reached = _reached(projection, marks).reshape(len(used), -1)
    found = np.zeros((reached.shape[1], cores), dtype=np.int64)
    found[:, used] = reached.T
    return found


def _reached(projection: Projection, marks: Array) -> Array:
    """Synapses from every source position to marked targets ``[cores, *target]``: ``[cores, *view]``."""
    op, view = projection.op, projection.view
    if projection.is_identity:
        return marks
    if isinstance(op, Linear):
        return np.broadcast_to(marks.sum(axis=1)[:, None], (len(marks), view[0]))
    groups = op.groups if isinstance(op, Conv2d) else view[0]
    rows, columns = _axis(projection, 0, marks.shape[2]), _axis(projection, 1, marks.shape[3])
    by_group = marks.reshape(len(marks), groups, -1, *marks.shape[2:]).sum(axis=2)
    hits: Array = np.einsum("hi,kgij,wj->kghw", rows, by_group, columns, optimize=True)
    return hits.repeat(view[0] // groups, axis=1)


def _axis(projection: Projection, axis: int, outputs: int) -> Ints:
    """For one axis of a window: int64 ``[inputs, outputs]``, the taps that join them."""
    op, size = projection.op, projection.view[1 + axis]
    found = np.zeros((size, outputs), dtype=np.int64)
    if isinstance(op, Upsample2d):
        found[np.arange(outputs) // op.factor[axis], np.arange(outputs)] = 1
        return found
    if not isinstance(op, (Conv2d, SumPool2d, MaxPool2d)):
        raise GraphError(f"the projection through node {projection.node!r} has no synapses that could be listed")
    dilation = op.dilation[axis] if isinstance(op, Conv2d) else 1
    for tap in range(op.kernel[axis]):
        position = np.arange(outputs) * op.stride[axis] - op.padding[axis] + tap * dilation
        inside = (position >= 0) & (position < size)
        np.add.at(found, (position[inside], np.flatnonzero(inside)), 1)
    return found


def between(populations: Sequence[Population]) -> list[tuple[Population, Projection]]:
    """Every projection whose source is one of the populations, with its target."""
    names = {population.name for population in populations}
    return [(target, found) for target in populations for found in target.projections if found.source in names]
