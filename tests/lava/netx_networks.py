"""Networks that netx can express: binary neurons reset to zero, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import LIF, Conv2d, Flatten, Input, LeakyIntegrator, Linear, Readout

#: What one more step leaves, in 4096 parts.
KEEP, FADE = 4096, 3000


def cell(theta: Any, channels: int, decay: int = KEEP, bits: int = 0, **changes: Any) -> LIF:
    """Binary, reset to zero; `theta` for all channels or for each."""
    thetas = frozen(np.broadcast_to(theta, channels), np.int32)
    decays = frozen(np.full(channels, decay), np.int32)
    fields: dict[str, Any] = {"reset": "zero", "fraction_bits": bits, "toward_zero": bits > 0, **changes}
    return LIF(thetas, thetas, decays, **fields)


def conv(rng: np.random.Generator, inputs: int, outputs: int, largest: int = 7, **window: Any) -> Conv2d:
    """Of 3x2, with biases."""
    weight = rng.integers(-largest, largest + 1, (outputs, inputs // window.get("groups", 1), 3, 2))
    return Conv2d(frozen(weight, np.int8), frozen(rng.integers(-9, 10, outputs), np.int32), **window)


def dense(rng: np.random.Generator, inputs: int, outputs: int, largest: int = 127, bias: bool = True) -> Linear:
    weight = frozen(rng.integers(-largest, largest + 1, (outputs, inputs)), np.int8)
    return Linear(weight, frozen(rng.integers(-9, 10, outputs), np.int32) if bias else None)


def chain(steps: int, shape: tuple[int, ...], *ops: Any, largest: int = 16) -> Graph:
    """Input, `ops` and a readout, in a row."""
    nodes = [Node("x", Input(shape, largest))]
    for index, op in enumerate((*ops, Readout())):
        name = "logits" if isinstance(op, Readout) else f"{type(op).__name__.lower()}{index}"
        nodes.append(Node(name, op, (nodes[-1].name,)))
    return Graph(tuple(nodes), steps)


def convolutional(steps: int = 4) -> Graph:
    """Thresholds that differ by channel, groups, strides, padding, a dense layer with all 8 bits, potentials read."""
    rng = np.random.default_rng(1)
    return chain(
        steps,
        (2, 6, 5),
        conv(rng, 2, 3, stride=(2, 1), padding=(1, 0)),
        cell([40, 60, 35], 3),
        conv(rng, 3, 3, padding=(1, 1), dilation=(1, 2), groups=3),
        cell(3, 3),
        Flatten(),
        dense(rng, 36, 6),
        cell(90, 6),
        dense(rng, 6, 4),
    )


def leaking(steps: int = 5) -> Graph:
    """Loihi's own leaks, of currents and of potentials, to the potentials of the last layer."""
    rng = np.random.default_rng(2)
    decays = frozen(np.full(4, FADE), np.int32)
    fading = frozen(np.full(8, 2048), np.int32)
    return chain(
        steps,
        (2, 3, 3),
        Flatten(),
        dense(rng, 18, 8, bias=False),
        LeakyIntegrator(fading, 6, toward_zero=True),
        cell(64 * 700 + 1, 8, FADE, 0, toward_zero=True, drive=frozen(64 * np.arange(-4, 4), np.int32)),
        dense(rng, 8, 4),
        LeakyIntegrator(decays, 6, toward_zero=True),
    )


def spikes_read(steps: int = 3) -> Graph:
    """A single step of binary input, neurons that forget at once, and spikes as logits of a map."""
    rng = np.random.default_rng(3)
    last = conv(rng, 4, 2)
    return chain(
        steps, (1, 6, 6), conv(rng, 1, 4), cell(6, 4, decay=0), last, cell(64 * 9 + 1, 2, FADE, 6), Flatten(), largest=1
    )


def neurons_at_the_input(steps: int = 4) -> Graph:
    """The image is the current of the first neurons, as in networks of lava-dl."""
    rng = np.random.default_rng(4)
    return chain(
        steps, (2, 4, 4), cell(64 * 20 + 1, 2, FADE, 6), conv(rng, 2, 3), cell(12, 3), Flatten(), dense(rng, 18, 3)
    )


def lasting(steps: int = 4) -> Graph:
    """Currents that never fade, before neurons whose thresholds differ."""
    rng = np.random.default_rng(5)
    whole = frozen(np.full(6, KEEP), np.int32)
    return chain(
        steps,
        (10,),
        dense(rng, 10, 6, 9, bias=False),
        LeakyIntegrator(whole),
        cell([90, 45, 60, 90, 90, 30], 6),
        dense(rng, 6, 3),
    )


NETWORKS = {
    "convolutional": convolutional,
    "leaking": leaking,
    "lasting": lasting,
    "spikes_read": spikes_read,
    "neurons_at_the_input": neurons_at_the_input,
}


def images(graph: Graph, count: int = 4, frames: bool = False) -> Array:
    """uint8 ``[count, *shape]``, or ``[count, T, *shape]``."""
    op = graph.input.op
    assert isinstance(op, Input)
    leading = (count, graph.steps) if frames else (count,)
    return np.random.default_rng(9).integers(0, op.largest + 1, (*leading, *op.shape)).astype(np.uint8)
