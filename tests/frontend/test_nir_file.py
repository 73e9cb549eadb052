"""What `read_nir` makes of a file computes what NIR's equations say, step by step and number by number."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip import interpreter, spec
from snn2chip.frontend.nir_file import read_nir
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, Add, Conv2d, Input, LeakyIntegrator, Scale
from snn2chip.quantize import quantize
from tests.frontend.nir_spec import Spec

#: Seconds in a step: a power of two, as all numbers here are few binary digits, so that nothing is ever rounded.
DT = 2.0**-10
STEPS = 5
MAP, FLAT = (2, 4, 4), (6,)


def full(shape: tuple[int, ...], *values: float) -> Array:
    """float32 of `shape`, one value for each channel (or one for all)."""
    per_channel = np.resize(np.array(values, np.float32), shape[0]) if len(values) > 1 else np.array(values)
    return np.broadcast_to(per_channel.reshape(-1, *(1,) * (len(shape) - 1)), shape).astype(np.float32).copy()


def weights(*shape: int, seed: int = 0) -> Array:
    """Multiples of 1/4 in -2 .. 2."""
    return (np.random.default_rng(seed).integers(-8, 9, shape) / 4).astype(np.float32)


def conv(outputs: int, inputs: int, kernel: tuple[int, int] = (3, 3), **changes: Any) -> Any:
    geometry = {"input_shape": (4, 4), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, **changes}
    weight = weights(outputs, inputs // geometry["groups"], *kernel)
    return nir.Conv2d(weight=weight, bias=weights(outputs, seed=1), **geometry)


def chain(shape: tuple[int, ...], *nodes: Any, seed: int = 3) -> Any:
    """Input -> nodes -> Output."""
    names = ["input", *(f"n{index}" for index in range(len(nodes))), "output"]
    members = [nir.Input(np.array(shape)), *nodes, nir.Output(np.array(shape))]
    graph = dict(zip(names, members, strict=True))
    return nir.NIRGraph(graph, list(itertools.pairwise(names)), type_check=False)


def written(graph: Any, folder: Path) -> Path:
    path = folder / "network.nir"
    nir.write(path, graph)
    return path


def frames(shape: tuple[int, ...], seed: int = 5, largest: int = 4) -> Array:
    return np.random.default_rng(seed).integers(0, largest + 1, (2, STEPS, *shape)).astype(np.uint8)


class Watcher:
    """Keeps what every node yields, unrounded: ``[B, T, *shape]`` by name."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Array]] = {}

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        self.steps.setdefault(node.name, []).append(tensor.copy())


def assert_follows(path: Path, graph: Graph, inputs: Array, dt: float = DT) -> None:
    """The graph yields, node by node and step by step, what NIR's equations yield on the file as `nir` reads it."""
    watcher = Watcher()
    found = interpreter.run(graph, inputs, [watcher])
    for sample, images in enumerate(inputs):
        spec = Spec(nir.read(path, type_check=False), dt)
        expected = spec.run(images)
        np.testing.assert_array_equal(found[sample], expected.reshape(len(expected), -1))
        for name in spec.seen.keys() & watcher.steps.keys() - {"output"}:
            yields = f"{name}.gain" if f"{name}.gain" in watcher.steps else name
            mine = np.stack([step[sample] for step in watcher.steps[yields]])
            np.testing.assert_array_equal(mine, np.stack(spec.seen[name]), err_msg=name)


def read(path: Path, **changes: Any) -> Graph:
    return read_nir(path, ImportOptions(**{"steps": STEPS, "dt": DT, "largest": 4, **changes}))


def lif(shape: tuple[int, ...], **changes: Any) -> Any:
    fields = {"tau": 4 * DT, "r": 4.0, "v_leak": 0.0, "v_threshold": 2.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: full(shape, *np.atleast_1d(value)) for name, value in fields.items()})


def cuba(shape: tuple[int, ...], **changes: Any) -> Any:
    fields = {"tau_mem": 4 * DT, "tau_syn": 2 * DT, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    fields |= {"w_in": 2.0, **changes}
    return nir.CubaLIF(**{name: full(shape, *np.atleast_1d(value)) for name, value in fields.items()})


def integrate_and_fire(shape: tuple[int, ...], threshold: float = 2, reset: float = 0) -> Any:
    return nir.IF(r=full(shape, 1), v_threshold=full(shape, threshold), v_reset=full(shape, reset))


NEURONS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "IF": integrate_and_fire,  # inputs and weights meet its threshold exactly, again and again
    "IF that resets to a value": lambda shape: integrate_and_fire(shape, 3, -1.5),
    "IF with thresholds per channel": lambda shape: nir.IF(full(shape, 1), full(shape, 1, 4), full(shape, 0, 0.5)),
    "LIF": lif,
    "LIF without input gain": lambda shape: lif(shape, r=1.0),
    "LIF that leaks towards a potential": lambda shape: lif(shape, v_leak=1.75, v_reset=-0.5),
    "LIF that fires without input": lambda shape: lif(shape, v_leak=3.0, tau=2 * DT),
    "LIF that forgets at once": lambda shape: lif(shape, tau=DT, r=1.0, v_threshold=1.0),
    "LIF with parameters per channel": lambda shape: lif(shape, tau=(DT, 2 * DT), r=(0.5, 8), v_threshold=(1, 0.25)),
    "CubaLIF": cuba,
    "CubaLIF with all parameters": lambda shape: cuba(shape, v_leak=(-1, 1.5), v_reset=(0.25, -2), w_in=(0.5, 4)),
    "I": lambda shape: nir.I(full(shape, 1)),
    "LI": lambda shape: nir.LI(tau=full(shape, 4 * DT), r=full(shape, 2), v_leak=full(shape, 0)),
    "LI with parameters per channel": lambda shape: nir.LI(
        tau=full(shape, 2 * DT, 4 * DT), r=full(shape, 2, 0.5), v_leak=full(shape, 0)
    ),
    "CubaLI": lambda shape: nir.CubaLI(
        tau_syn=full(shape, 2 * DT), tau_mem=full(shape, 4 * DT), r=full(shape, 2), v_leak=full(shape, 0), w_in=0.5
    ),
    "Threshold": lambda shape: nir.Threshold(full(shape, 0.5, 2)),
    "Threshold below zero": lambda shape: nir.Threshold(full(shape, -0.25, 0)),
}


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("shape", [MAP, FLAT], ids=["map", "flat"])
def test_a_neuron_follows_its_equation(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    node = NEURONS[name](shape)
    synapses = conv(2, 2) if shape == MAP else nir.Affine(weights(6, 6), weights(6, seed=1))
    path = written(chain(shape, synapses, node), tmp_path)
    inputs = frames(shape)
    assert_follows(path, read(path), inputs)
    counts = interpreter.run(read(path), inputs)
    assert counts.any()
    assert len(np.unique(counts)) > 1


@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_can_be_quantized(name: str, tmp_path: Path) -> None:
    path = written(chain(MAP, conv(2, 2), NEURONS[name](MAP), nir.Flatten(np.array(MAP), 0, -1)), tmp_path)
    graph = read(path)
    integer = quantize(graph)
    spec.check_integer(integer)
    assert integer.signals[integer.output.name].shape == graph.signals[graph.output.name].shape


STATELESS: dict[str, Any] = {
    "Affine": (FLAT, nir.Affine(weights(5, 6), weights(5, seed=1))),
    "Linear": (FLAT, nir.Linear(weights(5, 6))),
    "Conv2d": (MAP, conv(3, 2)),
    "Conv2d with strides": (MAP, conv(3, 2, stride=(2, 1), padding=(0, 2))),
    "Conv2d with dilation": (MAP, conv(3, 2, dilation=(2, 1), padding=(2, 1))),
    "Conv2d in groups": (MAP, conv(4, 2, groups=2)),
    "Conv2d with a kernel that is no square": (MAP, conv(3, 2, (1, 3), padding=(0, 1))),
    "Conv2d, valid": (MAP, conv(3, 2, padding="valid")),
    "Conv2d, same": (MAP, conv(3, 2, padding="same")),
    "Conv2d, same, with dilation": (MAP, conv(3, 2, dilation=(2, 1), padding="same")),
    "Conv2d, same, even kernel": (MAP, conv(3, 2, (2, 4), padding="same")),
    "SumPool2d": (MAP, nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))),
    "SumPool2d with padding": (MAP, nir.SumPool2d(np.array([3, 2]), np.array([2, 1]), np.array([1, 0]))),
    "AvgPool2d": (MAP, nir.AvgPool2d(np.array([2, 4]), np.array([2, 4]), np.array([0, 0]))),
    "Flatten": (MAP, nir.Flatten(np.array(MAP), 0, -1)),
    "Flatten, counting the batch": (MAP, nir.Flatten(np.array(MAP), 1, -1)),
    "Flatten of what is flat": (FLAT, nir.Flatten(np.array(FLAT), 0, -1)),
    "Scale": (MAP, nir.Scale(full(MAP, 0.25))),
    "Scale per channel": (MAP, nir.Scale(full(MAP, 0.25, -2))),
    "Scale per feature": (FLAT, nir.Scale(full(FLAT, 1, 0, -2, 3, 4, 5))),
}


@pytest.mark.parametrize("name", STATELESS)
def test_a_stateless_primitive_follows_its_equation(name: str, tmp_path: Path) -> None:
    shape, node = STATELESS[name]
    path = written(chain(shape, node), tmp_path)
    assert_follows(path, read(path), frames(shape))


def test_a_network_that_keeps_nothing_needs_no_steps(tmp_path: Path) -> None:
    path = written(chain(MAP, conv(3, 2), nir.Threshold(full((3, 4, 4), 0.5))), tmp_path)
    graph = read(path, steps=None)
    assert graph.steps == 1
    assert_follows(path, graph, frames(MAP)[:, :1])


def test_a_scale_per_channel_of_currents(tmp_path: Path) -> None:
    path = written(chain(MAP, conv(2, 2), nir.Scale(full(MAP, 0.5, -4)), lif(MAP)), tmp_path)
    assert_follows(path, read(path), frames(MAP))


def residual() -> Any:
    """A nested block with a skip that holds a layer, an identity skip, and spikes that meet currents."""
    shape = (3, 4, 4)
    block = nir.NIRGraph(
        {
            "input": nir.Input(np.array(shape)),
            "conv": conv(3, 3),
            "fire": lif(shape),
            "deep": nir.NIRGraph(
                {
                    "in": nir.Input(np.array(shape)),
                    "conv": conv(3, 3, (1, 1), padding=0),
                    "out": nir.Output(np.array(shape)),
                },
                [("in", "conv"), ("conv", "out")],
                type_check=False,
            ),
            "output": nir.Output(np.array(shape)),
        },
        [("input", "conv"), ("conv", "fire"), ("fire", "deep"), ("deep", "output"), ("input", "output")],
        type_check=False,
    )
    nodes = {
        "input": nir.Input(np.array(MAP)),
        "stem": conv(3, 2),
        "a": integrate_and_fire(shape, 1),
        "block": block,
        "b": cuba(shape),
        "c": integrate_and_fire(shape),
        "flat": nir.Flatten(np.array(shape), 0, -1),
        "head": nir.Affine(weights(4, 48), weights(4, seed=1)),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "stem"), ("stem", "a"), ("a", "block"), ("block", "b"), ("a", "b"), ("b", "c"), ("a", "c")]
    edges += [("c", "flat"), ("flat", "head"), ("head", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_a_network_with_skips_and_nested_graphs(tmp_path: Path) -> None:
    path = written(residual(), tmp_path)
    graph = read(path)
    assert_follows(path, graph, frames(MAP))
    assert {"block.deep.conv", "block.fire", "block.output.sum", "b.sum", "c.sum"} <= {
        node.name for node in graph.nodes
    }


def test_spikes_become_currents_where_they_meet_them(tmp_path: Path) -> None:
    path = written(residual(), tmp_path)
    graph = read(path)
    (current,) = graph["block.output.sum.current"].inputs
    assert current == "a"
    assert isinstance(graph["c.sum"].op, Add)
    assert graph["c.sum"].inputs == ("b", "a")  # spikes with spikes: nothing is in between


def test_a_sum_of_more_terms_than_one_addition_takes(tmp_path: Path) -> None:
    names = [f"s{index}" for index in range(70)]
    nodes = {name: nir.Scale(full(FLAT, 0.25 * (1 + index % 3))) for index, name in enumerate(names)}
    nodes = {"input": nir.Input(np.array(FLAT)), **nodes, "output": nir.Output(np.array(FLAT))}
    edges = [("input", name) for name in names] + [(name, "output") for name in names]
    path = written(nir.NIRGraph(nodes, edges, type_check=False), tmp_path)
    assert_follows(path, read(path), frames(FLAT))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_random_chains_follow_their_equations(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    drawn = data.draw(st.lists(st.sampled_from(sorted(NEURONS)), min_size=1, max_size=3), label="neurons")
    nodes: list[Any] = []
    for index, name in enumerate(drawn):
        if "I" in name.split() or "LI" in name.split() or "CubaLI" in name.split():
            continue  # currents that no neuron turns into spikes reach no synapses
        nodes += [nir.Affine(weights(6, 6, seed=index), weights(6, seed=10 + index)), NEURONS[name](FLAT)]
    path = written(chain(FLAT, *nodes), tmp_path_factory.mktemp("nir"))
    assert_follows(path, read(path), frames(FLAT, seed=data.draw(st.integers(0, 999), label="seed")))


def test_the_input_is_scaled_and_bounded_as_asked(tmp_path: Path) -> None:
    path = written(chain(FLAT, lif(FLAT)), tmp_path)
    graph = read(path, input_scale=0.5, largest=7)
    assert graph.input.op == Input(FLAT, 7)
    scale = graph["input.scale"].op
    assert isinstance(scale, Scale)
    assert scale.factor == 0.5
    inputs = frames(FLAT, largest=7)
    spec = Spec(nir.read(path, type_check=False), DT)
    np.testing.assert_array_equal(interpreter.run(graph, inputs)[0], spec.run(inputs[0] * 0.5))


@pytest.mark.parametrize("shape", [(1, *MAP), (1, *FLAT)], ids=["map", "flat"])
def test_a_batch_axis_of_one_in_the_file_is_dropped(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = written(chain(shape, nir.Scale(np.array([0.5], np.float32)), integrate_and_fire((1,))), tmp_path)
    assert read(path).input.op == Input(shape[1:], 4)


def test_a_given_input_shape_goes_before_that_of_the_file(tmp_path: Path) -> None:
    path = written(chain((7, 3, 2, 4, 4), conv(3, 2)), tmp_path)
    assert read(path, input_shape=MAP).input.op == Input(MAP, 4)


def test_parameters_of_one_element_hold_for_all_neurons(tmp_path: Path) -> None:
    path = written(chain(MAP, conv(2, 2), lif((1,))), tmp_path)
    inputs = frames(MAP)
    whole = written(chain(MAP, conv(2, 2), lif(MAP)), tmp_path)
    expected = interpreter.run(read(whole), inputs)
    np.testing.assert_array_equal(interpreter.run(read(path), inputs), expected)


def test_time_constants_are_divided_as_precisely_as_they_are_stored(tmp_path: Path) -> None:
    """2e-4 in float32 is not twice 1e-4 in float64; as snnTorch writes it, it means a decay of one half."""
    path = written(chain(FLAT, lif(FLAT, tau=2e-4, r=2.0)), tmp_path)
    op = read(path, dt=1e-4)["n0"].op
    assert isinstance(op, LIF)
    assert (op.decay == 0.5).all()
    assert (op.theta == 2).all()


def test_an_integrator_takes_r_or_r_dt_where_both_mean_the_same(tmp_path: Path) -> None:
    for r, dt, gain in [(1, DT, 1), (2**10, DT, 1), (3, 1.0, 3)]:
        path = written(chain(FLAT, nir.IF(full(FLAT, r), full(FLAT, 6), full(FLAT, 0))), tmp_path)
        op = read(path, dt=dt)["n0"].op
        assert isinstance(op, LIF)
        assert (op.theta == 6 / gain).all()


def test_currents_of_a_current_based_neuron_have_a_node_of_their_own(tmp_path: Path) -> None:
    graph = read(written(chain(MAP, conv(2, 2), cuba(MAP)), tmp_path))
    assert isinstance(graph["n1.synapse"].op, LeakyIntegrator)
    assert graph["n1"].inputs == ("n1.synapse",)
    assert isinstance(graph["n0"].op, Conv2d)
