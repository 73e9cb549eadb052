"""Each of Qualia's slips on a network of a few neurons: ``python -m tests.hw.qualia_defects`` prints the table of
docs/qualia.md. Both counts come from `simulate`: on lemaire-45nm-qualia, and with the exact counts."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models import Chip, load_chip, simulate
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.hw.qualia_page import EXACT, chip


@dataclass(frozen=True)
class Defect:
    """What is counted, and what to show a network so that the two counts differ.

    Attributes:
        shown: the network and its input, in words.
        layer: whose counts are compared.
        action: the one that is counted.
        by_hand: the true count, for networks that do not spike: `lemaire-45nm` has no count of those.
    """

    shown: str
    graph: Graph
    image: Array
    layer: str
    action: str
    by_hand: float | None = None

    def counts(self) -> tuple[float, float]:
        """Qualia's and the true one."""
        if self.by_hand is not None:
            return self._count(load_chip("lemaire-45nm-qualia-dense")), self.by_hand
        return self._count(load_chip("lemaire-45nm-qualia")), self._count(chip(EXACT))

    def _count(self, on: Chip) -> float:
        row = next(row for row in simulate(self.graph, self.image, None, on).layers if row.name == self.layer)
        return sum(found.count for found in row.actions if found.action == self.action)


def _neuron(channels: int, theta: int = 1, levels: int = 1) -> MultiLevelIF:
    return MultiLevelIF(frozen([theta] * channels, np.int32), levels)


def _image(shape: tuple[int, ...], *place: int, value: int = 1) -> Array:
    image = np.zeros((1, *shape), np.uint8)
    image[(0, *place)] = value
    return image


def _graph(nodes: Iterable[Node], steps: int = 1, largest: int = 1, shape: tuple[int, ...] = (1, 4, 4)) -> Graph:
    """The nodes behind an input ``x``, and a classifier of 2 behind the last."""
    given = [Node("x", Input(shape, largest)), *nodes]
    given.append(Node("flat", Flatten(), (given[-1].name,)))
    size = Graph((*given, Node("out", Readout(), ("flat",))), steps).signals["flat"].size
    linear = Node("fc", Linear(frozen(np.ones((2, size)), np.int8), None), ("flat",))
    return Graph((*given, linear, Node("out", Readout(), ("fc",))), steps)


def _windowed(stride: int = 1, groups: int = 1, steps: int = 1, largest: int = 1, inputs: int = 1) -> Graph:
    """3 x 3 taps from `inputs` maps of 4 x 4 to 2, padded."""
    kernel = frozen(np.ones((2, inputs // groups, 3, 3)), np.int8)
    conv = Conv2d(kernel, None, (stride, stride), (1, 1), groups=groups)
    nodes = (Node("conv", conv, ("x",)), Node("n", _neuron(2), ("conv",)))
    return _graph(nodes, steps, largest, (inputs, 4, 4))


def _linear(size: int, classes: int, steps: int = 1, largest: int = 1) -> Graph:
    weight = frozen(np.ones((classes, size)), np.int8)
    nodes = (Node("fc0", Linear(weight, None), ("x",)), Node("n", _neuron(classes), ("fc0",)))
    return _graph(nodes, steps, largest, (size,))


def _barrier() -> Graph:
    """Three neurons that fire, and a barrier on twice their spikes."""
    weight = frozen(np.ones((3, 1)), np.int8)
    nodes = (
        Node("fc0", Linear(weight, None), ("x",)),
        Node("n", _neuron(3), ("fc0",)),
        Node("sum", Add(), ("n", "n")),
        Node("bar", _neuron(3, 1, 2), ("sum",)),
    )
    return _graph(nodes, 1, 1, (1,))


def _sum() -> Graph:
    """Two convolutions of one tap, their spikes summed, and a convolution of one tap that reads the sum."""
    kernel = frozen(np.ones((1, 1, 1, 1)), np.int8)
    nodes = [Node("a", Conv2d(kernel, None), ("x",)), Node("b", Conv2d(kernel, None), ("x",))]
    nodes += [Node("na", _neuron(1), ("a",)), Node("nb", _neuron(1), ("b",)), Node("sum", Add(), ("na", "nb"))]
    nodes += [Node("c", Conv2d(kernel, None), ("sum",)), Node("n", _neuron(1), ("c",))]
    return _graph(nodes)


def _currents() -> Graph:
    """Two convolutions whose currents meet before their neurons."""
    kernel = frozen(np.ones((1, 1, 1, 1)), np.int8)
    nodes = [Node("a", Conv2d(kernel, None), ("x",)), Node("b", Conv2d(kernel, None), ("x",))]
    nodes += [Node("meet", Add(), ("a", "b")), Node("n", _neuron(1), ("meet",))]
    return _graph(nodes)


def defects() -> list[Defect]:
    corner, centre = _image((1, 4, 4), 0, 0, 0), _image((1, 4, 4), 0, 1, 1)
    shown, graded = "a value of 2 at both of 2 steps, to 3 neurons", (_linear(4, 3, 2, 2), _image((4,), 0, value=2))
    grouped = (_windowed(groups=2, inputs=2), _image((2, 4, 4), 0, 1, 1))
    barrier = (_barrier(), _image((1,), 0))
    return [
        Defect("spike in a corner, 3 x 3 taps to 2 maps", _windowed(), corner, "n", "weight_read"),
        Defect("the same with stride 2", _windowed(2), corner, "n", "weight_read"),
        Defect("spike in the middle, 3 x 3 taps, 2 maps in 2 groups", *grouped, "n", "weight_read"),
        Defect("spike in the middle, 3 x 3 taps to 2 maps", _windowed(), centre, "n", "address"),
        Defect("1 of 8 inputs is a spike, to 3 neurons", _linear(8, 3), _image((8,), 0), "n", "address"),
        Defect(shown, *graded, "n", "event_read"),
        Defect(shown, *graded, "n", "multiply"),
        Defect("spikes of 2 maps meet at one place, and 1 tap reads the sum", _sum(), centre, "n", "event_read"),
        Defect("barrier behind 3 neurons that fire, on twice their spikes", *barrier, "bar", "potential_read"),
        Defect("the same barrier", *barrier, "bar", "event_write"),
        Defect("1 neuron behind two currents that meet fires", _currents(), centre, "n", "event_write"),
        Defect("3 neurons, no event", _linear(4, 3), _image((4,), 0, value=0), "n", "compare"),
        Defect("no spikes: two maps of 1 x 4 x 4 are summed", _sum(), centre, "sum", "activation_read", 32),
        Defect("the same sum", _sum(), centre, "sum", "activation_write", 16),
    ]


def lines() -> list[str]:
    return [_line(defect) for defect in defects()]


def _line(defect: Defect) -> str:
    told, true = defect.counts()
    return f"| {defect.shown} | `{defect.action}` | {told:g} | {true:g} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
