"""Long streams of binary spikes through a chain of layers, event by event, in compiled loops.

As on SANA-FE's chip, an event sent in one step arrives in the next, and every layer is active in every step: unlike in
`snn2chip.interpreter`, no sample ends. Weights may have any width that 32-bit sums hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Array
from snn2chip.hw_models.compiled import compiled, entry
from snn2chip.hw_models.sanafe.mapping import CoreMap, Ints
from snn2chip.hw_models.sanafe.trace import Cell, Track
from snn2chip.lowering import Population, Projection
from snn2chip.ops import Conv2d, Linear

Ints32 = NDArray[np.int32]
RESETS = ("none", "soft", "hard")
ONE_PLACE = (1, 1, 1, 0, 1)


class Events(NamedTuple):
    """Events by step: those of step t are ``neuron[first[t] : first[t + 1]]``, in C order of their population."""

    first: Ints
    neuron: Ints32


#: Source size, target size, stride, padding, dilation.
Axis = tuple[int, int, int, int, int]


class Window(NamedTuple):
    """A convolution, or a linear layer as one with a single place.

    Attributes:
        weight: int32 ``[C, Kh, Kw, O]``.
        axes: of the rows, then of the columns: source size, target size, stride, padding, dilation.
    """

    weight: Ints32
    axes: tuple[Axis, Axis]


class Neurons(NamedTuple):
    """A population, place by place.

    Attributes:
        theta: int32 ``[O]``.
        reset: index into `RESETS`.
        bias: int32 ``[places, O]``.
        band: int64 ``[bands + 1]``: in the places ``band[i] .. band[i + 1] - 1``, channels lie on cores ``core[i]``.
        core: int64 ``[bands, O]``.
    """

    theta: Ints32
    reset: int
    bias: Ints32
    band: Ints
    core: Ints


def stream(
    layers: Sequence[Population], cells: Mapping[str, Cell], currents: Array, cores: CoreMap, steps: int
) -> dict[str, Track]:
    """What every layer does in `steps` steps from rest.

    Args:
        layers: a chain: each but the first is reached from the one before it, by one convolution or linear layer.
        currents: int ``[n]``: what each neuron of the first layer gets in every step.
    Raises: GraphError, naming the layer, where it is no such chain.
    """
    tracks: dict[str, Track] = {}
    before: Population | None = None
    events = Events(np.zeros(steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    for layer in layers:
        window = _nothing(layer) if before is None else _window(_path(layer, before), layer)
        given = currents.reshape(layer.shape) if before is None else 0
        neurons = _neurons(layer, cells[layer.name], given, cores.home[layer.name])
        updated = np.zeros((steps, cores.cores), dtype=np.int64)
        own = neurons.theta, neurons.reset, neurons.bias, neurons.band, neurons.core
        events = Events(*_run(events.first, events.neuron, window.weight, window.axes, *own, updated))
        when = np.repeat(np.arange(steps), np.diff(events.first))
        tracks[layer.name] = Track(when, events.neuron.astype(np.int64), updated)
        before = layer
    return tracks


def _path(layer: Population, before: Population) -> Projection:
    found = [projection for projection in layer.projections if projection.source == before.name]
    if len(layer.projections) != 1 or len(found) != 1 or found[0].delay:
        raise GraphError(f"layer {layer.name!r} is not reached from {before.name!r} alone, as in a chain")
    return found[0]


def _window(projection: Projection, target: Population) -> Window:
    op, view = projection.op, projection.view
    if isinstance(op, Linear):
        weight = np.ascontiguousarray(op.weight.T.astype(np.int32)).reshape(-1, 1, 1, len(op.weight))
        return Window(weight, (ONE_PLACE, ONE_PLACE))
    if not isinstance(op, Conv2d) or op.groups != 1:
        raise GraphError(f"layer {target.name!r} reads through {projection.node!r}, but only whole convolutions stream")
    weight = np.ascontiguousarray(op.weight.astype(np.int32).transpose(1, 2, 3, 0))
    rows, columns = (
        (view[1 + axis], target.shape[1 + axis], op.stride[axis], op.padding[axis], op.dilation[axis])
        for axis in (0, 1)
    )
    return Window(weight, (rows, columns))


def _nothing(layer: Population) -> Window:
    """For the first layer, which no events reach."""
    return Window(np.zeros((1, 1, 1, layer.shape[0]), dtype=np.int32), (ONE_PLACE, ONE_PLACE))


def _neurons(layer: Population, cell: Cell, currents: Array | int, home: Ints) -> Neurons:
    channels = layer.shape[0]
    if np.isinf(cell.theta).any():
        raise GraphError(f"layer {layer.name!r} has no threshold, but only neurons stream")
    bias = np.zeros(layer.shape, dtype=np.int32) + cell.bias.reshape(-1, *[1] * (len(layer.shape) - 1)) + currents
    by_place = home.reshape(channels, -1).T
    starts = np.flatnonzero(np.diff(by_place, axis=0, prepend=-1).any(axis=1))
    return Neurons(
        cell.theta.astype(np.int32),
        RESETS.index(cell.reset),
        np.ascontiguousarray(bias.reshape(channels, -1).T.astype(np.int32)),
        np.append(starts, len(by_place)),
        np.ascontiguousarray(by_place[starts]),
    )


@entry
def _run(
    sent_first: Ints,
    sent: Ints32,
    weight: Ints32,
    axes: tuple[Axis, Axis],
    theta: Ints32,
    reset: int,
    bias: Ints32,
    band: Ints,
    core: Ints,
    updated: Ints,
) -> tuple[Ints, Ints32]:
    """All steps of a population: its own events; `updated` ``[steps, cores]`` is filled in."""
    steps, (places, outputs) = len(updated), bias.shape
    charge, potential = np.zeros((places, outputs), dtype=np.int32), np.zeros((places, outputs), dtype=np.int32)
    touched, fires = np.zeros(places, dtype=np.uint8), np.zeros(places, dtype=np.uint8)
    fired, active = np.zeros((places, outputs), dtype=np.uint8), np.zeros((places, outputs), dtype=np.uint8)
    first, found = np.zeros(steps + 1, dtype=np.int64), np.empty(steps * places * outputs, dtype=np.int32)
    count = 0
    for step in range(steps):
        if step:
            _scatter(sent[sent_first[step - 1] : sent_first[step]], weight, axes, charge, touched)
        _integrate(theta, reset, bias, charge, touched, potential, fired, active, fires)
        _count_active(band, core, active, updated[step])
        for place in range(places):
            if fires[place]:
                for output in range(outputs):
                    if fired[place, output]:
                        found[count] = output * places + place
                        count += 1
        first[step + 1] = count
    return first, found[:count].copy()


@compiled
def _count_active(band: Ints, core: Ints, active: NDArray[np.uint8], updated: Ints) -> None:
    outputs = active.shape[1]
    sums = np.zeros(outputs, dtype=np.int32)
    for part in range(len(core)):
        for place in range(band[part], band[part + 1]):
            for output in range(outputs):
                sums[output] += active[place, output]
        for output in range(outputs):
            updated[core[part, output]] += sums[output]
            sums[output] = 0


@compiled
def _scatter(sent: Ints32, weight: Ints32, axes: tuple[Axis, Axis], charge: Ints32, touched: NDArray[np.uint8]) -> None:
    """Add the weights of the events to the charges of their targets."""
    (height, rows, stride_y, padding_y, dilation_y), (width, columns, stride_x, padding_x, dilation_x) = axes
    _, taps_y, taps_x, outputs = weight.shape
    for index in range(len(sent)):
        channel, place = divmod(sent[index], height * width)
        y, x = divmod(place, width)
        for tap_y in range(taps_y):
            row, rest = divmod(y + padding_y - tap_y * dilation_y, stride_y)
            if rest or row < 0 or row >= rows:
                continue
            for tap_x in range(taps_x):
                column, rest = divmod(x + padding_x - tap_x * dilation_x, stride_x)
                if rest or column < 0 or column >= columns:
                    continue
                target = row * columns + column
                touched[target] = 1
                for output in range(outputs):
                    charge[target, output] += weight[channel, tap_y, tap_x, output]


@compiled
def _integrate(
    theta: Ints32,
    reset: int,
    bias: Ints32,
    charge: Ints32,
    touched: NDArray[np.uint8],
    potential: Ints32,
    fired: NDArray[np.uint8],
    active: NDArray[np.uint8],
    fires: NDArray[np.uint8],
) -> None:
    """One step of every neuron; charges and touches are forgotten. `fires` says where at least one neuron fired."""
    places, outputs = potential.shape
    soft, hard = np.int32(-(reset == 1)), np.int32(-(reset == 2))  # masks of all ones, or 0
    for place in range(places):
        reached, some = touched[place] != 0, np.int32(0)
        for output in range(outputs):
            kept, driven = potential[place, output], bias[place, output]
            v = np.int32(kept + charge[place, output] + driven)
            fire = v >= theta[output]
            off = np.int32((theta[output] & soft) | (v & hard))
            potential[place, output] = np.int32(v - off) if fire else v
            active[place, output] = reached | (kept != 0) | (driven != 0)
            fired[place, output] = fire
            some |= fire
            charge[place, output] = 0
        fires[place] = some
        touched[place] = 0
