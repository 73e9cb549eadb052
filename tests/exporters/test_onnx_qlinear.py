"""Where ``model.qlinear.onnx`` quantizes, and that its rescaling is the floor at every threshold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from snn2chip.exporters.onnx_form import OnnxQLinear
from snn2chip.exporters.onnx_form.model import build
from snn2chip.exporters.onnx_form.requantize import floor_scales
from snn2chip.frontend.onnx_file import read_onnx
from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import LIF, Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, Upsample2d
from snn2chip.spec import check_integer
from tests.differential.comparison import assert_same
from tests.exporters.nir_networks import reference
from tests.exporters.test_onnx_exact import Net, images, sparse_residual, wide_operands


def model_of(graph: Graph) -> ModelProto:
    return build(graph, OnnxQLinear.dialect)


def kinds(graph: Graph) -> dict[str, str]:
    return {node.name: node.op_type for node in model_of(graph).graph.node}


@pytest.mark.parametrize("levels", [1, 2, 4, 7, 255])
def test_rounding_is_the_floor_for_every_potential(levels: int) -> None:
    for step in [*range(1, 40), 64, 99, 100]:
        scales = floor_scales(np.array([step], np.int32), levels)
        assert scales is not None
        v = np.arange(-2 * step - 3, (levels + 2) * step + 3)
        rounded = np.rint((v - step // 2).astype(np.float32) * scales)
        np.testing.assert_array_equal(np.clip(rounded, 0, levels), np.clip(v // step, 0, levels), err_msg=str(step))


def test_thresholds_that_float32_cannot_divide_by_have_no_scale() -> None:
    assert floor_scales(np.array([2**20 // 4, 5], np.int32), 4) is not None
    assert floor_scales(np.array([2**23 // 4, 5], np.int32), 4) is None


def at_thresholds(step: int, levels: int, first: int | None = None) -> Graph:
    """One channel for each potential next to a threshold: the bias is the potential, and the weights are zero."""
    first = step if first is None else first
    potentials = sorted({max(0, first + k * step) + near for k in range(-1, levels + 2) for near in (-2, -1, 0, 1)})
    potentials += [-(2**22), 2**22]
    size = len(potentials)
    theta, bias = frozen(np.full(size, first), np.int32), frozen(potentials, np.int32)
    steps, keeps = frozen(np.full(size, step), np.int32), frozen(np.full(size, 4096), np.int32)
    neuron = MultiLevelIF(theta, levels) if first == step else LIF(theta, steps, keeps, levels=levels)
    nodes = (
        Node("x", Input((1, 1, 1), 255)),
        Node("conv", Conv2d(frozen(np.zeros((size, 1, 1, 1)), np.int8), bias), ("x",)),
        Node("neuron", neuron, ("conv",)),
        Node("flat", Flatten(), ("neuron",)),
        Node("fc", Linear(frozen(np.ones((2, size)), np.int8)), ("flat",)),
        Node("out", Readout(), ("fc",)),
    )
    graph = Graph(nodes, 1)
    check_integer(graph)
    return graph


@pytest.mark.parametrize("levels", [1, 4, 5, 255])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 255, 256, 1000, 1001, 2**12 - 1, 2**12])
def test_every_threshold_in_onnxruntime(step: int, levels: int, tmp_path: Path) -> None:
    graph = at_thresholds(step, levels)
    assert kinds(graph)["conv"] == "QLinearConv"
    assert_exact(graph, tmp_path)


@pytest.mark.parametrize(("levels", "step"), [(4, 2**18 - 1), (4, 2**18), (1, 2**20), (1, 2**20 + 1), (16, 2**16)])
def test_large_thresholds(levels: int, step: int, tmp_path: Path) -> None:
    graph = at_thresholds(step, levels)
    assert kinds(graph)["conv"] == "QLinearConv"
    assert_exact(graph, tmp_path)


@pytest.mark.parametrize(("step", "first"), [(4, 9), (5, 2), (7, 3000), (1, 17)])
def test_first_spikes_at_another_distance_than_further_ones(step: int, first: int, tmp_path: Path) -> None:
    graph = at_thresholds(step, 6, first)
    assert kinds(graph)["conv"] == "QLinearConv"
    assert_exact(graph, tmp_path)


def assert_exact(graph: Graph, folder: Path) -> None:
    x = images(graph, 4)
    OnnxQLinear().write(graph, folder)
    assert_same(reference(graph, x), OnnxQLinear().executors[0].run(graph, folder, x), graph)


def test_what_is_not_exact_stays_in_integers(tmp_path: Path) -> None:
    """A layer of large thresholds and one with bytes beyond 255, beside one that is quantized."""
    net = Net((2, 4, 4)).conv("c1", (3, 2, 3, 3), padding=(1, 1)).neuron("n1", 3, 20000)
    net.conv("c2", (3, 3, 1, 1)).add("n2", MultiLevelIF(frozen([2**20] * 3, np.int32), 4))
    net.add("sum", Add(), "n1", "n2").add("four", Add(), *["sum"] * 64).conv("c3", (3, 3, 1, 1), "four")
    graph = net.neuron("n3", 3, 9000).head(48).graph(1)
    assert [kinds(graph)[name] for name in ("c1", "c2", "c3", "fc")] == ["QLinearConv", "Add", "Add", "Add"]
    notes = OnnxQLinear().write(graph, tmp_path)
    assert notes["in_integer_operators"] == ["c2", "c3", "fc"]
    assert_exact(graph, tmp_path)


def test_int8_weights_where_no_pair_of_products_saturates() -> None:
    """Two products of the largest byte and weight have to fit int16: processors without VNNI add them there."""
    types = {tensor.name: tensor.data_type for tensor in model_of(sparse_residual(1)).graph.initializer}
    assert types["c1/weight"] == TensorProto.UINT8, "2 * 255 * 127 passes 16 bits"
    assert types["c2/weight"] == TensorProto.INT8, "2 * 4 * 127 does not"


def test_barriers_divide_only_where_a_level_is_more_than_one(tmp_path: Path) -> None:
    assert kinds(sparse_residual(1))["barrier"] == "Clip"
    assert "barrier/division" not in kinds(sparse_residual(1))
    net = Net((3, 4, 4)).conv("c", (4, 3, 1, 1)).neuron("n", 4, 20000, 9)
    net.add("sum", Add(), "n", "n").add("barrier", MultiLevelIF(frozen([1, 2, 3, 4], np.int32), 5))
    net.add("flat", Flatten()).add("flat_barrier", MultiLevelIF(frozen([2] * 64, np.int32), 2))
    graph = net.conv("fc", (5, 64)).graph(1)
    found = kinds(graph)
    assert (found["barrier/division"], found["flat_barrier/division"]) == ("QLinearConv", "QLinearConv")
    assert_exact(graph, tmp_path)


def test_linear_layers_are_quantized_as_well(tmp_path: Path) -> None:
    net = Net((9,)).conv("f1", (7, 9)).neuron("n1", 7, 9001).conv("f2", (6, 7)).neuron("n2", 6, 300)
    graph = net.conv("f3", (4, 6)).graph(1)
    assert [kinds(graph)[name] for name in ("f1", "f2", "n2")] == ["QLinearConv", "QLinearConv", "Clip"]
    assert_exact(graph, tmp_path)


def test_no_sample_at_all_gives_no_logits(tmp_path: Path) -> None:
    """Linear layers, and neurons on flat counts: no size of theirs follows from an empty batch."""
    net = Net((7,), largest=9).conv("f1", (6, 7)).neuron("n1", 6, 700, 3)
    graph = net.add("barrier", MultiLevelIF(frozen([2] * 6, np.int32), 2)).conv("f2", (4, 6)).graph(1)
    assert {kinds(graph)[name] for name in ("f1", "barrier/division")} == {"QLinearConv"}
    OnnxQLinear().write(graph, tmp_path)
    found = OnnxQLinear().executors[0].run(graph, tmp_path, images(graph, 2)[:0])
    assert found[graph.output.name].shape == (0, 1, 4)
    assert_exact(graph, tmp_path)


def branches(steps: int = 1) -> Graph:
    """A convolution with a strided projection, one with spikes as currents, one of several kernels and groups."""
    net = Net((2, 9, 9)).conv("stem", (4, 2, 3, 3), padding=(1, 1)).neuron("n0", 4, 9000)
    net.conv("a1", (6, 4, 3, 3), "n0", stride=(2, 2), padding=(1, 1))
    net.conv("a2", (6, 4, 1, 1), "n0", stride=(2, 2)).add("sum_a", Add(), "a1", "a2").neuron("n1", 6, 900)
    net.conv("b1", (6, 6, 3, 3), "n1", padding=(1, 1), bias=None)
    net.conv("b2", (6, 1, 1, 1), "n1", groups=6).add("sum_b", Add(), "b1", "b2").neuron("n2", 6, 300, 200)
    net.conv("c1", (6, 3, 5, 3), "n1", groups=2, padding=(4, 2), dilation=(2, 2))
    net.conv("c2", (6, 6, 3, 1), "n2", padding=(2, 0), dilation=(2, 1))
    net.conv("c3", (6, 2, 1, 3), "n1", groups=3, padding=(0, 2), dilation=(1, 2))
    net.add("sum_c", Add(), "c2", "c1", "c3").neuron("n3", 6, 3000)
    return net.head(150).graph(steps)


def test_convolutions_that_meet_become_one(tmp_path: Path) -> None:
    graph = branches()
    assert OnnxQLinear().write(graph, tmp_path)["in_integer_operators"] == ["fc"]
    assert [kinds(graph)[name] for name in ("sum_a", "sum_b", "sum_c")] == ["QLinearConv"] * 3
    assert kinds(graph).keys().isdisjoint({"a1", "a2", "b1", "b2", "c1", "c2", "c3"})
    assert_exact(graph, tmp_path)
    path = tmp_path / "model.qlinear.onnx"
    read, form = read_onnx(path)
    OnnxQLinear().confirm(read, path)
    assert (read.digest, form) == (graph.digest, "onnx-qlinear")


def test_convolutions_on_other_grids_do_not(tmp_path: Path) -> None:
    """Another stride on another map; a kernel that no place in the larger one meets; one that is read twice."""
    net = Net((2, 6, 6)).neuron("n", 2, 40).add("up", Upsample2d((2, 2)))
    net.conv("c1", (3, 2, 3, 3), "n", padding=(1, 1)).conv("c2", (3, 2, 1, 1), "up", stride=(2, 2))
    net.add("sum1", Add(), "c1", "c2").neuron("n1", 3, 900)
    net.conv("c3", (3, 3, 3, 1), "n1", padding=(1, 0)).conv("c4", (3, 3, 1, 3), "n1", padding=(0, 1))
    net.add("sum2", Add(), "c3", "c4").neuron("n2", 3, 900)
    net.conv("c5", (3, 3, 1, 1), "n2").add("sum3", Add(), "c5", "c5").neuron("n3", 3, 900)
    graph = net.conv("c6", (3, 3, 1, 1)).neuron("n4", 3, 900).head(108).graph(1)
    notes = OnnxQLinear().write(graph, tmp_path)
    assert notes["in_integer_operators"] == ["c1", "c2", "c3", "c4", "c5", "fc"]
    assert_exact(graph, tmp_path)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (sparse_residual(2), "'image' .* gives 2 steps, and QLinearConv keeps no potential"),
        (wide_operands(1), "'c1' .Conv2d., as every other, feeds no neuron layer of its own"),
        (at_thresholds(2**20, 4), "'conv' .Conv2d., as every other"),
        (
            Graph((Node("x", Input((3,), 9)), Node("n", MultiLevelIF(frozen([1] * 3, np.int32), 2), ("x",)),
                   Node("out", Readout(), ("n",))), 1),
            "'out' .Readout. has no convolution",
        ),
    ],
    ids=["steps", "wide", "thresholds", "no layer"],
)  # fmt: skip
def test_refusals_name_the_node(graph: Graph, reason: str) -> None:
    found = OnnxQLinear().refusal(graph)
    assert found is not None
    assert re.search(reason, found), found


def test_the_file_holds_no_domain_but_the_standard_one() -> None:
    model = model_of(sparse_residual(1))
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)
