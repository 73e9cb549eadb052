"""Leaky neurons, hard resets, integrators, maxima and concatenation in ``model.onnx``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from snn2chip import interpreter
from snn2chip.exporters.onnx_form import OnnxExporter, run_file
from snn2chip.exporters.onnx_form.model import build
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import LIF, Flatten, Input, LeakyIntegrator, Linear, Readout, SpikingNeuron
from snn2chip.spec import MEMBRANE_LIMIT, check_integer
from tests.differential.comparison import assert_same
from tests.exporters.ecosystem import NETWORKS
from tests.exporters.nir_networks import Net, images, reference


def _inputs(graph: Graph, frames: bool) -> Array:
    x = images(graph, 6)
    return np.stack([np.roll(x, step, axis=0) for step in range(graph.steps)], axis=1) if frames else x


@pytest.mark.parametrize("frames", [False, True], ids=["direct", "frames"])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_neuron_layer_and_the_logits_are_exact(name: str, steps: int, frames: bool, tmp_path: Path) -> None:
    graph, form = NETWORKS[name](steps), OnnxExporter()
    x = _inputs(graph, frames)
    assert form.refusal(graph) is None
    form.write(graph, tmp_path)
    found, wanted = form.executors[0].run(graph, tmp_path, x), reference(graph, x)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(wanted, found, graph)
    assert all(len(np.unique(tensor)) > 1 for tensor in found.values()), "a layer that never changes tests nothing"
    np.testing.assert_array_equal(run_file(tmp_path / "model.onnx", x), wanted[graph.output.name].sum(axis=1))


# The evaluator makes a border of not-a-number even where it is to have no width.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_evaluator_agrees(name: str, steps: int) -> None:
    graph = NETWORKS[name](steps)
    x = images(graph, 4)
    (logits,) = ReferenceEvaluator(build(graph)).run(None, {"x": x})
    np.testing.assert_array_equal(logits, interpreter.logits(graph, x))


def _functions(graph: Graph) -> list[str]:
    return [function.name for function in build(graph).functions]


def test_a_file_defines_the_functions_that_it_calls() -> None:
    resets = ["SubtractReset", "DelayedSubtractReset", "ZeroReset", "DelayedZeroReset", "NoReset"]
    assert _functions(NETWORKS["leaky_levels"](2)) == [f"LIF{reset}" for reset in resets]
    assert _functions(NETWORKS["levels_without_leak"](2)) == [f"IF{reset}" for reset in resets]
    assert _functions(NETWORKS["leaky_levels"](1)) == ["LIFFromRest"]
    floored = ["IFSubtractResetFloored", "IFDelayedZeroResetFloored", "IFNoResetFloored", "LIFSubtractResetFloored"]
    assert _functions(NETWORKS["held_up"](2)) == floored
    fine = ["LeakyIntegratorTowardZero", "LIFZeroResetTowardZero", "LIFDelayedSubtractResetTowardZero"]
    assert _functions(NETWORKS["fine_grained"](2)) == fine
    assert _functions(NETWORKS["membrane_readout"](2)) == ["LIFSubtractReset", "LeakyIntegrator"]
    assert _functions(NETWORKS["membrane_readout"](1)) == ["LIFFromRest"]
    assert all(function.doc_string for function in build(NETWORKS["leaky_levels"](2)).functions)


def test_functions_call_no_operator_with_any_number_of_inputs() -> None:
    """onnxruntime 1.14 does not load a function that does."""
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    called = {
        node.op_type for make in NETWORKS.values() for function in build(make(2)).functions for node in function.node
    }
    schemas = {kind: onnx.defs.get_schema(kind, 18) for kind in called}
    assert {"Where", "Div"} <= called
    assert not [kind for kind, schema in schemas.items() if schema.inputs and schema.inputs[-1].option == variadic]


def test_a_network_without_neurons_needs_no_function(tmp_path: Path) -> None:
    net = Net(3, 4, 4)
    graph = net.flat_head("x", 48, steps=3)
    assert _functions(graph) == []
    OnnxExporter().write(graph, tmp_path)
    x = images(graph)
    np.testing.assert_array_equal(run_file(tmp_path / "model.onnx", x), interpreter.logits(graph, x))


def test_maxima_of_bytes_are_one_node() -> None:
    kinds = {node.name: node.op_type for node in build(NETWORKS["maxima"](1)).graph.node}
    pools = [kinds[name] for name in kinds if name.startswith("maxpool2d") and "/" not in name]
    assert pools == ["MaxPool", "Max", "Max", "Max", "Identity"]


def test_no_floating_point() -> None:
    """Neither in constants nor in casts, of all networks."""
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    for make in NETWORKS.values():
        for steps in (1, 2):
            model = onnx.shape_inference.infer_shapes(build(make(steps)))
            types = {info.type.tensor_type.elem_type for info in model.graph.value_info}
            types |= {tensor.data_type for tensor in model.graph.initializer}
            assert types.isdisjoint(floats)


def _driven(currents: Array, op: LIF | LeakyIntegrator, steps: int) -> Graph:
    """One position for each current, which is the bias that reaches it."""
    size = len(currents)
    nodes = (
        Node("x", Input((1, 1, 1), 1)),
        Node("flat", Flatten(), ("x",)),
        Node("fc", Linear(frozen(np.zeros((size, 1)), np.int8), frozen(currents, np.int32)), ("flat",)),
        Node("state", op, ("fc",)),
        Node("out", Readout(), ("state",)),
    )
    graph = Graph(nodes, steps)
    check_integer(graph)
    return graph


@pytest.mark.parametrize("toward_zero", [False, True], ids=["down", "toward zero"])
@pytest.mark.parametrize("decay", [0, 1, 3, 2047, 2048, 2049, 4094, 4095, 4096])
def test_the_leak_is_rounded_exactly_over_all_24_bits(decay: int, toward_zero: bool, tmp_path: Path) -> None:
    """Ten steps from currents of every magnitude, of both signs."""
    steady = 10 if decay == 4096 else min(10.0, 1 / (1 - decay / 4096))
    most = int(MEMBRANE_LIMIT / steady) - 20
    sizes = np.unique(np.concatenate([np.geomspace(1, most, 90).astype(np.int64), most - np.arange(10)]))
    currents = np.concatenate([-sizes, [0], sizes])
    op = LeakyIntegrator(frozen(np.full(len(currents), decay), np.int32), toward_zero=toward_zero)
    graph = _driven(currents, op, steps=10)
    OnnxExporter().write(graph, tmp_path)
    x = np.zeros((1, 1, 1, 1), np.uint8)
    found = OnnxExporter().executors[0].run(graph, tmp_path, x)["out"]
    potentials, seen = [0] * len(currents), []
    for _ in range(10):
        left = [int(Fraction(p * decay, 4096)) if toward_zero else p * decay // 4096 for p in potentials]
        potentials = [p + int(c) for p, c in zip(left, currents, strict=True)]
        seen.append(potentials)
    assert found[0].tolist() == seen


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_potentials_at_both_ends_of_24_bits(reset: str, tmp_path: Path) -> None:
    """The largest thresholds, steps and currents, with drives that bring larger currents back."""
    top, count = MEMBRANE_LIMIT, 6
    currents = np.array([top, -top, 2**31 - 1 - 2**24, -(2**31) + 1 + 2**24, top // 2, -top // 2])
    drive = np.clip(currents, -top, top) - currents
    op = LIF(
        theta=frozen(np.full(count, top), np.int32),
        step_size=frozen([top, 1, top, top, 1, top], np.int32),
        decay=frozen(np.full(count, 1), np.int32),
        drive=frozen(drive - np.sign(currents) * 2049, np.int32),
        reset=reset,  # type: ignore[arg-type]
    )
    graph = _driven(currents, op, steps=6)
    OnnxExporter().write(graph, tmp_path)
    x = np.zeros((1, 1, 1, 1), np.uint8)
    assert_same(reference(graph, x), OnnxExporter().executors[0].run(graph, tmp_path, x), graph)


def test_fraction_bits_and_drives_that_cancel_beyond_32_bits(tmp_path: Path) -> None:
    """A current that, in its finer unit, passes 32 bits until the drive brings it back."""
    bits, top = 6, MEMBRANE_LIMIT
    drive = np.array([-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 1 - 77, 63, -1])
    currents = -(drive // 2**bits) + np.array([top // 2**bits, 5, -5, 100, 0, 0])
    entering = currents * 2**bits + drive
    assert np.abs(entering).max() <= top < 2**31 <= np.abs(currents * 2**bits).max()
    theta = frozen(np.maximum(1, np.abs(entering)), np.int32)
    op = LIF(theta, theta, frozen(np.zeros(6), np.int32), frozen(drive, np.int32), fraction_bits=bits)
    graph = _driven(currents, op, steps=2)
    OnnxExporter().write(graph, tmp_path)
    x = np.zeros((1, 1, 1, 1), np.uint8)
    found = OnnxExporter().executors[0].run(graph, tmp_path, x)
    assert_same(reference(graph, x), found, graph)
    assert found["state"][0, 0].tolist() == (entering >= theta).astype(int).tolist()
