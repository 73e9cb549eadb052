"""Cutting a network into stages."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2chip import graph_io
from snn2chip.errors import GraphError, UserError
from snn2chip.exporters.lava import partition, read, write
from snn2chip.exporters.lava.partition import from_document, payload_dtype, to_document
from snn2chip.graph import Graph, Interval, Kind, Signal, frozen
from snn2chip.ops import SpikingNeuron
from tests.differential.strategies import graphs

LAYERS = (
    ("input", "conv1", "if1"),
    ("conv2", "marked"),
    ("conv3", "if3"),
    ("sum", "barrier"),
    ("pool", "flat", "fc", "logits"),
)


def test_a_layer_is_a_neuron_with_what_feeds_it(residual_graph: Graph) -> None:
    assert partition(residual_graph).stages == LAYERS


def test_a_residual_edge_is_one_port_with_every_reader(residual_graph: Graph) -> None:
    links = {link.value: (link.source, link.targets, link.dtype) for link in partition(residual_graph).links}
    assert links == {
        "if1": (0, (1, 3), "uint8"),
        "marked": (1, (2,), "uint8"),
        "if3": (2, (3,), "uint8"),
        "barrier": (3, (4,), "uint8"),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_fusing_makes_the_asked_number_of_stages(residual_graph: Graph, count: int) -> None:
    parts = partition(residual_graph, count)
    assert len(parts.stages) == count
    assert sum(parts.stages, ()) == sum(LAYERS, ())


def test_there_are_never_more_stages_than_layers(residual_graph: Graph) -> None:
    assert partition(residual_graph, 99).stages == LAYERS


@pytest.mark.parametrize("stages", [0, -1, True, "each"])
def test_other_numbers_of_stages_are_refused(residual_graph: Graph, stages: object) -> None:
    with pytest.raises(UserError, match="per-layer or a positive number"):
        partition(residual_graph, stages)  # type: ignore[arg-type]


@given(graphs(), st.sampled_from(["per-layer", 1, 2, 3]))
def test_values_travel_forwards_and_nothing_is_lost(graph: Graph, stages: str) -> None:
    parts = partition(graph, stages)  # type: ignore[arg-type]
    home = {name: index for index, names in enumerate(parts.stages) for name in names}
    assert sorted(home) == sorted(node.name for node in graph.nodes)
    links = {link.value: link for link in parts.links}
    for edge in graph.edges:
        source, target = home[edge.source], home[edge.target]
        assert source <= target
        assert source == target or target in links[edge.source].targets
    if stages == "per-layer":
        owners = [[name for name in names if isinstance(graph[name].op, SpikingNeuron)] for names in parts.stages]
        assert all(len(found) == 1 for found in owners[:-1])
        assert owners[-1] == []


@given(graphs(max_levels=255, max_steps=2))
def test_narrow_payloads_hold_every_value(graph: Graph) -> None:
    for link in partition(graph).links:
        low, high = graph.signals[link.value].interval.min, graph.signals[link.value].interval.max
        limits = np.iinfo(link.dtype)
        assert limits.min <= low <= high <= limits.max
        half = 1 << (link.bits - 1)
        assert (-half <= low and high < half) if low < 0 else high < 2 * half


@pytest.mark.parametrize(
    ("low", "high", "dtype", "bits"),
    [
        (0, 4, "uint8", 3),
        (0, 255, "uint8", 8),
        (0, 256, "uint16", 9),
        (0, 65535, "uint16", 16),
        (0, 65536, "int32", 17),
        (-1, 255, "int16", 9),
        (-32768, 32767, "int16", 16),
        (-32769, 0, "int32", 17),
    ],
)
def test_the_payload_is_as_wide_as_the_proven_interval(low: int, high: int, dtype: str, bits: int) -> None:
    interval = Interval(frozen([low, 0]), frozen([0, high]))
    assert payload_dtype(Signal((2,), Kind.CURRENT, interval)) == dtype
    assert interval.bits == bits


def test_the_document_gives_the_partition_back(residual_graph: Graph) -> None:
    parts = partition(residual_graph)
    assert from_document(residual_graph, to_document(residual_graph, parts)) == parts


def test_a_changed_document_is_refused(residual_graph: Graph) -> None:
    document = to_document(residual_graph, partition(residual_graph))
    for change in (_drop_a_node, _swap_stages, _widen_a_port, _forget_a_reader):
        changed = copy.deepcopy(document)
        change(changed)
        with pytest.raises(GraphError, match=r"partition\.json"):
            from_document(residual_graph, changed)


def _drop_a_node(document: dict[str, list[dict[str, list[str]]]]) -> None:
    document["stages"][0]["nodes"].pop()


def _swap_stages(document: dict[str, list[dict[str, list[str]]]]) -> None:
    document["stages"][0], document["stages"][1] = document["stages"][1], document["stages"][0]


def _widen_a_port(document: dict[str, list[dict[str, object]]]) -> None:
    document["links"][0]["dtype"] = "int32"


def _forget_a_reader(document: dict[str, list[dict[str, list[str]]]]) -> None:
    document["links"][0]["to"].pop()


def test_the_form_on_disk_comes_back(residual_graph: Graph, tmp_path: Path) -> None:
    files = write(residual_graph, tmp_path / "artifact" / "lava")
    assert sorted(files) == sorted(path.name for path in (tmp_path / "artifact" / "lava").iterdir())
    for folder in (tmp_path / "artifact" / "lava", tmp_path / "artifact"):
        graph, parts = read(folder)
        assert graph.digest == residual_graph.digest
        assert parts == partition(residual_graph)
    assert len(read(tmp_path / "artifact" / "lava", 2)[1].stages) == 2


def test_two_writes_give_the_same_bytes(residual_graph: Graph, tmp_path: Path) -> None:
    for name in write(residual_graph, tmp_path / "a") + write(residual_graph, tmp_path / "b"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_missing_and_a_broken_file_are_named(residual_graph: Graph, tmp_path: Path) -> None:
    write(residual_graph, tmp_path)
    (tmp_path / "partition.json").write_text("{")
    with pytest.raises(UserError, match=r"partition\.json cannot be read"):
        read(tmp_path)
    (tmp_path / "tensors.safetensors").unlink()
    with pytest.raises(UserError, match=r"tensors\.safetensors cannot be read"):
        read(tmp_path)


def test_a_float_graph_is_refused(residual_graph: Graph, tmp_path: Path) -> None:
    document, tensors = graph_io.to_document(residual_graph)
    tensors = {name: tensor.astype(float) for name, tensor in tensors.items()}
    nodes = [graph_io.read_node(entry, tensors) for entry in document["nodes"]]
    with pytest.raises(GraphError, match="int8 is needed"):
        write(Graph(tuple(nodes), 2), tmp_path / "lava")
