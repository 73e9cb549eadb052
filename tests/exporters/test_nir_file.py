"""What stands in ``model.nir``, what is refused, and what becomes of a file that was changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from snn2chip import certify
from snn2chip.errors import BackendError, GraphError, UserError
from snn2chip.exporters import exporter
from snn2chip.exporters.nir_form import NirExporter
from snn2chip.exporters.nir_form.executor import NO_INTEGER
from snn2chip.graph import Array, Graph, Node
from snn2chip.interop import nirtorch as interop
from snn2chip.ops import Flatten, MultiLevelIF, Upsample2d
from tests.exporters.nir_networks import NETWORKS, Net, conv_skip, identity_skip, images, reference, sequential


@pytest.fixture
def written(tmp_path: Path) -> tuple[Graph, Path]:
    graph = conv_skip()
    NirExporter().write(graph, tmp_path)
    return graph, tmp_path


def _facts(node: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(node.metadata["snn2chip"])
    return facts


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_keeps_to_the_portable_primitives(name: str, tmp_path: Path) -> None:
    NirExporter().write(NETWORKS[name](), tmp_path)
    file = nir.read(tmp_path / "model.nir")
    assert {type(node) for node in file.nodes.values()} <= {nir.Input, nir.Conv2d, nir.IF, nir.Output}
    for node in file.nodes.values():
        if isinstance(node, nir.Conv2d):
            assert node.weight.dtype == node.bias.dtype == np.float32
            assert (node.weight == np.rint(node.weight)).all()
            assert (2 * node.bias == np.rint(2 * node.bias)).all()
            assert node.groups == 1
            assert node.weight.shape[2] == node.weight.shape[3]
        if isinstance(node, nir.IF):
            assert (node.r == 1).all()
            assert (node.v_threshold == 1).all()
            assert (node.v_reset == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_readers_find_nodes_in_topological_order(name: str, tmp_path: Path) -> None:
    """`nir.read` sorts nodes by name; a single edge enters the output, and none is written twice."""
    NirExporter().write(NETWORKS[name](), tmp_path)
    file = nir.read(tmp_path / "model.nir")
    order = {node: index for index, node in enumerate(file.nodes)}
    assert all(order[source] < order[target] for source, target in file.edges)
    assert [target for _, target in file.edges].count("output") == 1
    assert len(set(file.edges)) == len(file.edges)


def test_an_identity_skip_is_a_bare_edge(tmp_path: Path) -> None:
    NirExporter().write(identity_skip(), tmp_path)
    file = nir.read(tmp_path / "model.nir")
    assert sum(isinstance(node, nir.Conv2d) for node in file.nodes.values()) == 3 + 2 * 4 + 1
    branches = [source for source, target in file.edges if target.endswith("multilevelif8_levels")]
    assert [_facts(file.nodes[branch])["role"] for branch in branches] == ["collect", "collect"]


def test_spikes_are_zero_or_one(written: tuple[Graph, Path]) -> None:
    graph, folder = written
    file = nir.read(folder / "model.nir")
    neurons = frozenset(name for name, node in file.nodes.items() if isinstance(node, nir.IF))
    found = interop.record(file, images(graph)[:, None], neurons | {"output"})
    assert len(neurons) == 5
    assert all(set(np.unique(found[name])) == {0, 1} for name in neurons)


def test_metadata_tell_the_levels(written: tuple[Graph, Path]) -> None:
    graph, folder = written
    file = nir.read(folder / "model.nir")
    assert _facts(file)["graph_digest"] == graph.digest
    assert _facts(file)["steps"] == 1
    groups = {_facts(node)["group"]: node for node in file.nodes.values() if isinstance(node, nir.IF)}
    assert list(groups) == [node.name for node in graph.of_kind(MultiLevelIF)]
    for name, node in groups.items():
        op = graph[name].op
        assert isinstance(op, MultiLevelIF)
        assert _facts(node)["levels"] == op.levels
        assert _facts(node)["theta"] == op.theta.tolist()


def test_notes_are_ready_for_json(tmp_path: Path) -> None:
    notes = exporter("nir").write(sequential(), tmp_path)
    assert json.loads(json.dumps(notes)) == notes
    assert notes["profile"] == "portable"
    assert notes["primitives"] == {"Conv2d": 7, "IF": 2, "Input": 1, "Output": 1}


_REPEAT = """
import sys, hashlib
from pathlib import Path
from snn2chip.exporters.nir_form import NirExporter
from tests.exporters.nir_networks import images, repeated, sew
for make in (repeated, sew):
    graph, form, folder = make(), NirExporter(), Path(sys.argv[1])
    form.write(graph, folder)
    found = form.executors[0].run(graph, folder, images(graph))
    results = b"".join(found[name].tobytes() for name in sorted(found))
    print(hashlib.sha256((folder / "model.nir").read_bytes()).hexdigest(), hashlib.sha256(results).hexdigest())
"""


def test_bytes_and_results_do_not_depend_on_the_hash_seed(root: Path, tmp_path: Path) -> None:
    children = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-W", "ignore", "-c", _REPEAT, str(tmp_path / seed)]
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    first, second = (child.communicate()[0] for child in children)
    assert len(first.split()) == 4
    assert first == second


@pytest.fixture
def root() -> Path:
    return Path(__file__).parents[2]


def test_importing_the_form_imports_no_torch(root: Path) -> None:
    script = "import sys, snn2chip.exporters.nir_form, snn2chip.interop; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)


def _odd_kernel() -> Graph:
    net = Net(1, 6, 6)
    return net.head(net.neuron(net.conv("x", 4, 1, 2, 3)), 4, (5, 4))


def _large_upsampling() -> Graph:
    net = Net(3, 16, 16)
    return net.head(net.neuron(net.conv(net.put(Upsample2d((2, 2)), "x"), 4, 3, 1, 1)), 4, (32, 32))


def _large_flattening() -> Graph:
    net = Net(4, 64, 64)
    flat = net.put(Flatten(), net.conv("x", 4, 4, 1, 1))
    return net.graph(net.linear(net.neuron(flat, 4 * 64 * 64), 2, 4 * 64 * 64))


@pytest.mark.parametrize(
    ("make", "node", "reason"),
    [
        (_odd_kernel, "node 'conv2d1' (Conv2d)", "2x3 kernel cannot be padded"),
        (_large_upsampling, "node 'upsample2d1' (Upsample2d)", "(3, 768, 32, 32), which is more than 1048576"),
        (_large_flattening, "node 'multilevelif3' (MultiLevelIF)", "(16384, 16384), which is more than 67108864"),
    ],
)
def test_refusals_name_the_node(make: Callable[[], Graph], node: str, reason: str, tmp_path: Path) -> None:
    graph = make()
    refusal = NirExporter().refusal(graph)
    assert refusal is not None
    assert refusal.startswith(node)
    assert reason in refusal
    with pytest.raises(GraphError) as caught:
        NirExporter().write(graph, tmp_path)
    assert str(caught.value) == refusal
    assert not list(tmp_path.iterdir())


def test_an_unknown_operation_is_refused() -> None:
    class Rotated(Flatten):
        """An operation that is not ours."""

    graph = sequential()
    nodes = (Node(n.name, Rotated(), n.inputs) if isinstance(n.op, Flatten) else n for n in graph.nodes)
    refusal = NirExporter().refusal(Graph(tuple(nodes), 1))
    assert refusal == "node 'flatten6' (Rotated) has no counterpart among NIR's primitives"


def _change(folder: Path, role: str, group: str, key: str, change: Callable[[Array], Array]) -> None:
    """Rewrite one parameter of the node that plays `role` for `group`."""
    with h5py.File(folder / "model.nir", "r+") as file:
        for node in file["node/nodes"].values():
            facts = json.loads(node["metadata/snn2chip"][()]) if "metadata" in node else {}
            if (facts.get("role", "source"), facts.get("group", facts.get("source"))) == (role, group):
                node[key][...] = change(node[key][()])
                return
    raise LookupError(f"{role} of {group}")


@pytest.mark.parametrize(
    ("role", "node", "key", "change", "layer"),
    [
        ("source", "conv2d1", "weight", 0, "multilevelif2"),
        ("source", "conv2d3", "bias", 500, "multilevelif4"),
        ("fan-out", "multilevelif4", "bias", 500, "multilevelif4"),
        ("spikes", "multilevelif6", "v_threshold", 500, "multilevelif6"),
        ("collect", "multilevelif8", "weight", 0, "multilevelif8"),
        ("source", "linear13", "weight", 0, "logits"),
    ],
)
def test_a_changed_parameter_shows_in_its_layer(
    role: str, node: str, key: str, change: int, layer: str, written: tuple[Graph, Path]
) -> None:
    """One channel of a parameter is overwritten."""
    graph, folder = written

    def changed(values: Array) -> Array:
        values[0] = change
        return values

    _change(folder, role, node, key, changed)
    inputs = images(graph)
    expected = reference(graph, inputs)
    names = [*(n.name for n in graph.of_kind(MultiLevelIF)), graph.output.name]
    found = NirExporter().executors[0].run(graph, folder, inputs)
    divergence = certify.first_divergence({name: expected[name] for name in names}, found)
    assert divergence is not None
    assert divergence.layer == layer


def test_what_is_no_integer_is_not_rounded(written: tuple[Graph, Path]) -> None:
    graph, folder = written
    _change(folder, "source", "linear13", "bias", lambda bias: bias + np.array([0, 0.25, np.nan, np.inf, 1e12]))
    found = NirExporter().executors[0].run(graph, folder, images(graph))["logits"]
    expected = reference(graph, images(graph))["logits"]
    assert (found[..., 0] == expected[..., 0]).all()
    assert (found[..., 1:] == NO_INTEGER).all()


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(64), b"not a file of NIR"])
def test_a_broken_file_is_named(content: bytes, written: tuple[Graph, Path]) -> None:
    graph, folder = written
    (folder / "model.nir").write_bytes(content)
    with pytest.raises(BackendError, match=r"model\.nir: NIRTorch cannot run it"):
        NirExporter().executors[0].run(graph, folder, images(graph))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    graph = sequential()
    with pytest.raises(BackendError, match=r"model\.nir"):
        NirExporter().executors[0].run(graph, tmp_path, images(graph))


def test_the_file_of_another_network_is_named(written: tuple[Graph, Path]) -> None:
    _, folder = written
    other = NETWORKS["sew"]()
    with pytest.raises(BackendError, match="no node for the neuron layer"):
        NirExporter().executors[0].run(other, folder, images(other))


def test_unfit_inputs_are_refused(written: tuple[Graph, Path]) -> None:
    graph, folder = written
    with pytest.raises(UserError, match="shape"):
        NirExporter().executors[0].run(graph, folder, np.zeros((2, 2, 5, 5), np.uint8))


def test_frames_and_empty_batches(written: tuple[Graph, Path]) -> None:
    graph, folder = written
    inputs = images(graph)
    run = NirExporter().executors[0].run
    assert (run(graph, folder, inputs[:, None])["logits"] == run(graph, folder, inputs)["logits"]).all()
    assert run(graph, folder, inputs[:0])["logits"].shape == (0, 1, 5)
