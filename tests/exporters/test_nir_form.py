"""The NIR form computes the integers of the interpreter, in NIRTorch and in norse."""

from __future__ import annotations

from pathlib import Path

import nir
import nirtorch
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn2chip.exporters.nir_form import NirExporter
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interop import nirtorch as interop
from snn2chip.interop import norse
from snn2chip.ops import Conv2d, Flatten, Linear, MultiLevelIF, Readout
from tests.differential.comparison import assert_same
from tests.exporters.nir_networks import NETWORKS, Net, conv_skip, identity_skip, images, reference, sequential

LEVELS = [*range(1, 9), 100, 255]


def _assert_exact(graph: Graph, folder: Path) -> None:
    form, inputs = NirExporter(), images(graph)
    assert form.refusal(graph) is None
    form.write(graph, folder)
    found = form.executors[0].run(graph, folder, inputs)
    expected = reference(graph, inputs)
    assert set(found) == {node.name for node in graph.of_kind(MultiLevelIF)} | {graph.output.name}
    assert all(tensor.dtype == np.int32 for tensor in found.values())
    assert_same(expected, found, graph)
    layers = [expected[node.name] for node in graph.of_kind(MultiLevelIF)]
    assert len(np.unique(expected[graph.output.name])) > 10, "a network whose logits hardly vary tests nothing"
    assert all(len(np.unique(layer)) > 1 for layer in layers), "a layer that never changes tests nothing"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_construct_is_exact(name: str, tmp_path: Path) -> None:
    _assert_exact(NETWORKS[name](), tmp_path)


@pytest.mark.parametrize("levels", LEVELS)
def test_every_number_of_levels_is_exact(levels: int, tmp_path: Path) -> None:
    _assert_exact(identity_skip(levels), tmp_path)


def _logits(module: nn.Module, inputs: Array) -> Array:
    maps = inputs if inputs.ndim == 4 else inputs[:, :, None, None]
    with torch.no_grad():
        output, _ = module(torch.from_numpy(maps).float())
    flat: Array = output.numpy().reshape(len(inputs), 1, -1)
    return flat


@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_loaders_are_exact(name: str, tmp_path: Path) -> None:
    graph = NETWORKS[name]()
    inputs = images(graph)
    NirExporter().write(graph, tmp_path)
    expected = reference(graph, inputs)[graph.output.name]
    for library in (interop, norse):
        assert (_logits(library.load(tmp_path / "model.nir"), inputs) == expected).all(), library.__name__


@pytest.mark.parametrize("node_map", [interop.NODE_MAP, norse.NODE_MAP], ids=["nirtorch", "norse"])
def test_the_one_line_of_the_documentation(node_map: dict[type, type], tmp_path: Path) -> None:
    """Called twice, for a module must not remember the sample before."""
    graph = conv_skip()
    inputs = images(graph)
    NirExporter().write(graph, tmp_path)
    module = nirtorch.nir_to_torch(str(tmp_path / "model.nir"), node_map)
    expected = reference(graph, inputs)[graph.output.name]
    assert (_logits(module, inputs) == expected).all()
    assert (_logits(module, inputs) == expected).all()


class _Lenient(nn.Module):
    """An IF as other libraries read it: fires at the threshold too, and subtracts it."""

    def __init__(self, node: nir.IF) -> None:
        super().__init__()
        self.threshold = float(node.v_threshold.max())

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = current if state is None else current + state
        fired = (v >= self.threshold).to(v.dtype)
        return fired, v - fired * self.threshold


@pytest.mark.parametrize("make", [sequential, identity_skip, conv_skip])
def test_readers_that_fire_at_the_threshold_agree(make: type, tmp_path: Path) -> None:
    graph: Graph = make()
    inputs = images(graph)
    NirExporter().write(graph, tmp_path)
    module = nirtorch.nir_to_torch(str(tmp_path / "model.nir"), {**interop.NODE_MAP, nir.IF: _Lenient})
    assert (_logits(module, inputs) == reference(graph, inputs)[graph.output.name]).all()


def test_thresholds_of_23_bits(tmp_path: Path) -> None:
    """256 channels with thresholds down from the largest that a membrane holds, and currents that just pass each."""
    top, below = 2**23 - 1, np.arange(256)
    net = Net(1, 1, 1, largest=255)
    ones, offset = frozen(np.ones((256, 1, 1, 1)), np.int8), frozen(np.full(256, top - 255), np.int32)
    current = net.put(Conv2d(ones, offset), "x")
    spikes = net.put(MultiLevelIF(frozen(top - below, np.int32), 1), current)
    graph = net.flat_head(spikes, 256)
    inputs = below.astype(np.uint8).reshape(256, 1, 1, 1)
    NirExporter().write(graph, tmp_path)
    found = NirExporter().executors[0].run(graph, tmp_path, inputs)
    assert_same(reference(graph, inputs), found, graph)
    assert (found[spikes].sum(axis=(0, 1, 3, 4)) == below + 1).all()


def test_partial_sums_of_24_bits(tmp_path: Path) -> None:
    """Logits may reach 2**24, the last integer up to which float32 holds all, and not one more."""
    net = Net(1, 1, 1, largest=255)
    weight = frozen([[127], [-127]], np.int8)
    flat = net.put(Flatten(), "x")
    reach = 2**24 - 127 * 255
    exact = net.graph(net.put(Linear(weight, frozen([reach, -reach], np.int32)), flat))
    inputs = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    NirExporter().write(exact, tmp_path)
    found = NirExporter().executors[0].run(exact, tmp_path, inputs)
    assert_same(reference(exact, inputs), found, exact)
    assert found["logits"].max() == 2**24
    beyond = Graph(
        (
            *net.nodes[:-1],
            Node("fc", Linear(weight, frozen([reach + 1, 0], np.int32)), (flat,)),
            Node("logits", Readout(), ("fc",)),
        ),
        1,
    )
    refusal = NirExporter().refusal(beyond)
    assert refusal is not None
    assert "node 'fc' (Linear): its partial sums may reach 16777217" in refusal


def test_convolutions_stay_exact_without_onednn() -> None:
    """torch then turns to NNPACK, whose transforms round: the node map must keep it out."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, (64, 64, 3, 3)).astype(np.float32)
    batch = torch.from_numpy(rng.integers(0, 256, (16, 64, 16, 16))).float()
    node = nir.Conv2d((16, 16), weight, (1, 1), (1, 1), (1, 1), 1, np.zeros(64, np.float32))
    exact = nn.functional.conv2d(batch.double(), torch.from_numpy(weight).double(), padding=1)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        assert (interop.Conv2d(node)(batch) == exact).all()


def test_grouped_convolutions_of_other_files() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(6, 2, 3, 2)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    batch = torch.from_numpy(rng.normal(size=(2, 4, 7, 8))).float()
    node = nir.Conv2d(None, weight, np.array([2, 1]), np.array([1, 0]), np.array([1, 2]), 2, bias)
    expected = nn.functional.conv2d(
        batch, torch.from_numpy(weight), torch.from_numpy(bias), (2, 1), (1, 0), (1, 2), groups=2
    )
    assert torch.equal(interop.Conv2d(node)(batch), expected)


def _single(value: float) -> Array:
    return np.array([value], np.float32)


def test_the_if_of_the_node_map_is_nirs() -> None:
    """NIR 1.0: fires above the threshold, not at it; resets to v_reset; keeps v otherwise."""
    node = nir.IF(r=_single(2.0), v_threshold=_single(3.0), v_reset=_single(-1.0))
    module, state, fired, potentials = interop.IF(node), None, [], []
    for current in (1.5, 0.25, 1.0, 2.0):
        spikes, state = module(torch.tensor([[current]]), state)
        fired.append(spikes.item())
        potentials.append(state.item())
    assert fired == [0, 1, 0, 1]
    assert potentials == [3.0, -1.0, 1.0, -1.0]


def test_norse_refuses_what_its_cell_does_not_have() -> None:
    with pytest.raises(ValueError, match="r = 1"):
        norse.NODE_MAP[nir.IF](nir.IF(r=_single(2.0), v_threshold=_single(1.0)))
