"""The profiles of the NIR form: each exact where it can say a network, each refusing by name where it cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from snn2chip import api, interpreter, spec
from snn2chip.errors import BackendError, UserError
from snn2chip.exporters import FORMS, exporter
from snn2chip.exporters.nir_form import NirExporter, explain
from snn2chip.exporters.nir_form.builder import read_facts
from snn2chip.exporters.nir_form.profiles import MOST_COMPACT, MOST_COMPOSED, PROFILES
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interop import nirtorch, norse
from snn2chip.ops import LIF, Conv2d, Flatten, Input, LeakyIntegrator, MultiLevelIF, Readout, SpikingNeuron
from tests.differential.comparison import assert_same
from tests.exporters import ecosystem
from tests.exporters.nir_loops import LoopSpec
from tests.exporters.nir_networks import NETWORKS, Net, conv_skip, identity_skip, images, reference, sequential
from tests.exporters.stepping import step_by_step

SECONDS = 1e-4


def over(steps: int, graph: Graph) -> Graph:
    longer = Graph(graph.nodes, steps)
    spec.check_integer(longer)
    return longer


def moving(graph: Graph, count: int = 6) -> Array:
    """Another image at every step."""
    x = images(graph, count)
    return np.stack([np.roll(x, 5 * step, axis=0) for step in range(graph.steps)], axis=1)


def assert_exact(graph: Graph, profile: str, folder: Path, inputs: Array) -> Any:
    """Every neuron layer and the logits; returns the file as `nir.read` reads it."""
    form = exporter(f"nir-{profile}")
    assert form.refusal(graph) is None
    assert form.write(graph, folder)["profile"] == profile
    found = form.executors[0].run(graph, folder, inputs)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(reference(graph, inputs), found, graph)
    assert all(len(np.unique(tensor)) > 1 for tensor in found.values()), "a layer that never changes tests nothing"
    return nir.read(folder / form.files[0])


#: Random networks cover the rest.
CONSTRUCTS = ("conv_skip", "sew", "repeated", "grouped", "pools", "perceptron", "flattened_neuron", "awkward_names")


@pytest.mark.parametrize("profile", ["compact", "snntorch"])
@pytest.mark.parametrize("name", CONSTRUCTS)
def test_every_construct_in_one_step(name: str, profile: str, tmp_path: Path) -> None:
    graph = NETWORKS[name]()
    assert_exact(graph, profile, tmp_path, images(graph))


OVER_TIME: dict[str, Callable[[], Graph]] = {
    **{name: lambda make=NETWORKS[name]: over(2, make()) for name in CONSTRUCTS},  # type: ignore[misc]
    "maxima of counts": lambda: ecosystem.small_maxima(4),
    "concatenations": lambda: ecosystem.concatenations(2),
}


@pytest.mark.parametrize("profile", ["composed", "unrolled"])
@pytest.mark.parametrize("name", OVER_TIME)
def test_every_construct_over_time(name: str, profile: str, tmp_path: Path) -> None:
    graph = OVER_TIME[name]()
    assert_exact(graph, profile, tmp_path, moving(graph))


@pytest.mark.parametrize("make", [sequential, identity_skip, conv_skip])
@pytest.mark.parametrize("levels", [1, 3])
def test_composed_by_the_letter_of_nir(make: Callable[..., Graph], levels: int) -> None:
    """Plain loops over NIR's equations, with an edge that leads back one step later, give the interpreter's logits."""
    graph = over(4, make(levels))
    inputs = moving(graph, 2)
    file = NirExporter("composed").lower(graph)
    expected = interpreter.run(graph, inputs)
    for frames, logits in zip(inputs, expected, strict=True):
        np.testing.assert_array_equal(LoopSpec(file, dt=1.0).run(frames).reshape(logits.shape), logits)
    assert len(np.unique(expected)) > 4


@pytest.mark.parametrize(("profile", "steps"), [("compact", 1), ("snntorch", 1), ("unrolled", 3)])
def test_other_profiles_by_the_letter_of_nir(profile: str, steps: int) -> None:
    graph = over(steps, conv_skip(3))
    inputs = moving(graph, 2)
    file = NirExporter(profile).lower(graph)
    for frames, logits in zip(inputs, interpreter.run(graph, inputs), strict=True):
        shown = frames.reshape(1, -1, *frames.shape[2:])  # all steps side by side, as channels
        np.testing.assert_array_equal(LoopSpec(file, dt=SECONDS).run(shown).reshape(logits.shape), logits)


ALLOWED = {
    "portable": {nir.Conv2d, nir.IF},
    "compact": {nir.Conv2d, nir.IF},
    "snntorch": {nir.Conv2d, nir.LIF},
    "composed": {nir.Conv2d, nir.I, nir.IF, nir.Scale, nir.Threshold},
    "unrolled": {nir.Conv2d, nir.IF},
}


@pytest.mark.parametrize("profile", PROFILES)
def test_what_every_file_keeps_to(profile: str, tmp_path: Path) -> None:
    """The primitives of the profile, float32 of full shape, halves, sorted names, one edge into the output."""
    graph = over(1 if profile in ("portable", "compact", "snntorch") else 3, NETWORKS["pools"]())
    form = NirExporter(profile)
    form.write(graph, tmp_path)
    file = nir.read(tmp_path / form.files[0])
    order = {node: index for index, node in enumerate(file.nodes)}
    back = {edge for edge in file.edges if isinstance(file.nodes[edge[0]], nir.Scale)}
    assert all(order[source] < order[target] for source, target in file.edges if (source, target) not in back)
    assert all(isinstance(file.nodes[target], nir.I) for _, target in back)
    assert [target for _, target in file.edges].count("output") == 1
    for node in file.nodes.values():
        assert type(node) in ALLOWED[profile] | {nir.Input, nir.Output}
        for field in ("weight", "bias", "r", "v_threshold", "v_reset", "v_leak", "threshold", "scale"):
            values = getattr(node, field, None)
            if values is not None:
                assert values.dtype == np.float32
                assert values.ndim > 0
                assert (2 * values == np.rint(2 * values)).all()


def test_thresholds_lie_between_integers(tmp_path: Path) -> None:
    file = assert_exact(over(3, sequential()), "composed", tmp_path, moving(over(3, sequential())))
    thresholds = [node.threshold for node in file.nodes.values() if isinstance(node, nir.Threshold)]
    assert len(thresholds) == 2 * 4
    assert all((values % 1 == 0.5).all() for values in thresholds)


def test_compact_has_no_synapses_but_the_networks(tmp_path: Path) -> None:
    """A barrier on a residual sum of two layers of 4 levels, too: eight edges and no convolution."""
    graph = identity_skip()
    file = assert_exact(graph, "compact", tmp_path, images(graph))
    kinds = Counter(type(node).__name__ for node in file.nodes.values())
    assert kinds == {"Conv2d": 4, "IF": 4 * 4, "Input": 1, "Output": 1}
    assert all(read_facts(node)["role"] == "level" for node in file.nodes.values() if isinstance(node, nir.IF))


def test_composed_stacks_more_levels_than_it_can_place_side_by_side(tmp_path: Path) -> None:
    few, many = (over(3, sequential(levels)) for levels in (MOST_COMPOSED, MOST_COMPOSED + 1))
    kinds = [
        Counter(type(node).__name__ for node in NirExporter("composed").lower(g).nodes.values()) for g in (few, many)
    ]
    assert [found["Threshold"] for found in kinds] == [2 * MOST_COMPOSED, 2]
    assert [found["Conv2d"] for found in kinds] == [3, 3 + 2 * 2]
    assert_exact(many, "composed", tmp_path, moving(many))


def kept(reset: Any, delayed: bool, leak: int, drive: int = 0) -> Graph:
    """Two layers of 3 levels whose step sizes differ from their thresholds, and a membrane that is read."""
    net = Net(2, 6, 6, seed=2)
    last = net.conv("x", 4, 2, 3, 3, padding=(1, 1))
    for theta in (900, 300):
        thresholds = net.rng.integers(theta // 2, theta, 4)
        steps = frozen(thresholds * 3 // 2, np.int32)
        driven = frozen([drive] * 4, np.int32) if drive else None
        decay = frozen([leak] * 4, np.int32)
        op = LIF(frozen(thresholds, np.int32), steps, decay, driven, 3, reset, delayed, fraction_bits=2 * bool(drive))
        last = net.same(net.put(op, last))
    total = net.put(LeakyIntegrator(frozen([4096] * 4, np.int32), fraction_bits=1), last)
    return net.graph(net.put(Flatten(), total), 4)


@pytest.mark.parametrize("profile", ["composed", "unrolled"])
@pytest.mark.parametrize(
    ("reset", "delayed", "leak", "drive"),
    [
        ("subtract", False, 4096, 0),
        ("subtract", True, 4096, 40),
        ("none", False, 4096, 0),
        ("none", True, 4096, 40),
        ("zero", False, 0, 40),
        ("subtract", False, 0, 0),
    ],
)
def test_neurons_of_other_frameworks(
    reset: str, delayed: bool, leak: int, drive: int, profile: str, tmp_path: Path
) -> None:
    """Delayed or not, nothing is reset, and those that keep nothing at all; without a leak in between."""
    graph = kept(reset, delayed, leak, drive)
    spec.check_integer(graph)
    assert_exact(graph, profile, tmp_path, moving(graph))


def test_hard_resets_beside_soft_ones(tmp_path: Path) -> None:
    net = Net(2, 6, 6)
    a = net.neuron(net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=900)
    b = ecosystem.lif(net, net.same(a), theta=500, reset="zero", leaks=False)
    graph = net.head(net.add(a, b), 4, (6, 6), steps=5)
    assert_exact(graph, "composed", tmp_path, moving(graph))


def test_stepping_by_hand_and_in_norse(tmp_path: Path) -> None:
    graph = over(4, identity_skip())
    NirExporter().write(graph, tmp_path)
    module, inputs = norse.load(tmp_path / "model.nir"), moving(graph)
    for _ in range(2):  # a module must not remember the samples before
        np.testing.assert_array_equal(step_by_step(module, graph, inputs), interpreter.run(graph, inputs))


def test_an_unrolled_file_in_one_call(tmp_path: Path) -> None:
    """The lines of the documentation."""
    graph, steps = over(3, conv_skip()), 3
    NirExporter("unrolled").write(graph, tmp_path)
    network, images_ = nirtorch.load(tmp_path / "model.unrolled.nir"), torch.from_numpy(images(graph))
    frames = images_.repeat(1, steps, 1, 1)
    logits, _ = network(frames.float())
    logits = logits.unflatten(1, (steps, -1)).sum(dim=1)
    np.testing.assert_array_equal(logits.flatten(1).numpy(), interpreter.logits(graph, images(graph)))


def potentials(theta: int, drive: int, steps: int) -> Graph:
    """One neuron of 2 levels at the far end of 24 bits."""
    weight, bias = frozen([[[[1]]]], np.int8), frozen([drive], np.int32)
    nodes = (
        Node("x", Input((1, 1, 1), 255)),
        Node("c", Conv2d(weight, bias), ("x",)),
        Node("n", MultiLevelIF(frozen([theta], np.int32), 2), ("c",)),
        Node("flat", Flatten(), ("n",)),
        Node("logits", Readout(), ("flat",)),
    )
    return over(steps, Graph(nodes, 1))


@pytest.mark.parametrize("profile", ["composed", "unrolled"])
def test_potentials_at_both_ends_of_24_bits(profile: str, tmp_path: Path) -> None:
    """The largest thresholds, met or missed by one; and negative potential that piles up to the last integer."""
    inputs = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
    high = potentials((2**23 - 1) // 2, 2**23 - 1 - 255, 1)
    assert_exact(high, profile, tmp_path, inputs)
    twice = potentials(2**22 - 200, 2**21, 4)
    assert_exact(twice, profile, tmp_path, inputs)


def test_a_loop_whose_sums_could_round_is_refused() -> None:
    """What is subtracted may be twice as large as any potential: with the current it may pass 2**24."""

    def graph(current: int) -> Graph:
        net = Net(1, 1, 1, largest=1)
        weight, bias = frozen([[[[1]]]], np.int8), frozen([current], np.int32)
        one, step = frozen([1], np.int32), frozen([2**23 - 2], np.int32)
        op = LIF(one, step, frozen([4096], np.int32), levels=2)
        return net.flat_head(net.put(op, net.put(Conv2d(weight, bias), "x"), name="here"), 1, steps=2)

    assert NirExporter("composed").refusal(graph(3)) is None
    refusal = NirExporter("composed").refusal(graph(4))
    assert refusal is not None
    assert "node 'here' (LIF): its partial sums may reach 16777217" in refusal


@pytest.mark.parametrize(
    ("profile", "make", "reason"),
    [
        ("compact", lambda: over(2, sequential()), "T = 2 steps NIR cannot say it: profile compact is for T = 1 alone"),
        ("snntorch", lambda: over(2, sequential()), "profile snntorch is for T = 1 alone"),
        (
            "compact",
            lambda: sequential(MOST_COMPACT + 1),
            f"a node for each of at most {MOST_COMPACT}: use profile port",
        ),
        ("portable", lambda: over(2, sequential()), "NIR's IF has no soft reset: use profile composed"),
        ("portable", lambda: kept("none", False, 4096), "NIR's IF always resets: use profile composed"),
        ("portable", lambda: kept("zero", False, 0), "in profile portable also remembers: use profile composed"),
        ("unrolled", lambda: over(9, sequential()), "it has T = 9 steps, and at most 8 are unrolled: use profile comp"),
        (
            "unrolled",
            lambda: ecosystem.hard_reset(3),
            "a reset to zero leaves is no sum of what was there: use profile",
        ),
        ("composed", lambda: ecosystem.leaky_binary(3), "leaves to its readers how a leak is computed"),
        ("composed", lambda: ecosystem.held_up(3), "has no floor under its potential: the forms onnx and lava can"),
        ("composed", lambda: kept("zero", False, 4096), "which is reset to zero, has 3 levels"),
        ("composed", lambda: ecosystem.largest_currents(3), "it takes maxima of currents"),
    ],
)
def test_refusals_name_node_and_reason(profile: str, make: Callable[[], Graph], reason: str, tmp_path: Path) -> None:
    graph = make()
    refusal = NirExporter(profile).refusal(graph)
    assert refusal is not None
    assert reason in refusal
    assert "node '" in refusal or profile == "unrolled"
    with pytest.raises(UserError) as caught:
        NirExporter(profile).write(graph, tmp_path)
    assert str(caught.value) == refusal
    assert not list(tmp_path.iterdir())


def test_a_file_that_readers_could_not_open_in_time_is_refused() -> None:
    net = Net(1, 4, 4, levels=MOST_COMPACT)
    last = "x"
    for _ in range(16):
        last = net.neuron(net.conv(last, 1, 1, 1, 1), 1)
    refusal = NirExporter("compact").refusal(net.flat_head(last, 16))
    assert refusal is not None
    assert "with it there are more than 1000 edges" in refusal


@pytest.mark.parametrize(
    ("make", "profile"),
    [
        (sequential, "portable"),
        (lambda: ecosystem.hard_reset(3), "portable"),
        (lambda: over(3, sequential()), "composed"),
        (lambda: ecosystem.small_maxima(3), "composed"),
    ],
)
def test_the_profile_is_chosen_and_explained(make: Callable[[], Graph], profile: str, tmp_path: Path) -> None:
    graph, form = make(), NirExporter()
    assert form.write(graph, tmp_path)["profile"] == profile
    assert form.chosen(graph).startswith(f"profile {profile}, ")
    assert ("; not portable: node '" in form.chosen(graph)) == (profile == "composed")
    reasons = dict(explain(graph))
    assert list(reasons) == list(PROFILES)
    assert reasons[profile] is None
    assert (reasons["compact"] is None) == (graph.steps == 1)


def test_every_profile_has_its_form_and_file() -> None:
    forms = [exporter(name) for name in FORMS if name.startswith("nir-")]
    assert [form.name.removeprefix("nir-") for form in forms] == [name for name in PROFILES if name != "portable"]
    files = [file for name in FORMS for file in exporter(name).files]
    assert len(set(files)) == len(files)


def test_inspect_says_which_profile_and_why(tmp_path: Path) -> None:
    graph = over(2, sequential())
    NirExporter().write(graph, tmp_path)
    shown = api.inspect(tmp_path / "model.nir")
    assert "nir: can express this network (profile composed, " in shown
    assert "nir-compact: refused: node 'multilevelif2' (MultiLevelIF): over T = 2 steps" in shown


def test_a_copy_without_a_layer_is_named(tmp_path: Path) -> None:
    """The metadata of an unrolled file have to name every layer at every step."""
    graph = over(3, sequential())
    NirExporter("unrolled").write(graph, tmp_path)
    with pytest.raises(BackendError, match="no node for the neuron layer 'multilevelif2'"):
        NirExporter("unrolled").executors[0].run(over(4, sequential()), tmp_path, images(graph))
