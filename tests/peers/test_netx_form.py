"""netx files that we write, in lava-dl's own loader on Lava's runtime: every spike, every step, every potential."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snn2chip.artifact import Samples
from snn2chip.certify import EXACT, certify, first_divergence, reference
from snn2chip.errors import BackendError
from snn2chip.exporters.lava.netx import lava_dl, layers
from snn2chip.exporters.lava.netx.exporter import NetxExporter
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Graph, frozen
from snn2chip.ops import Input, Linear, SpikingNeuron
from tests.lava.netx_networks import NETWORKS, cell, chain, images


@pytest.fixture(autouse=True, scope="module")
def loader() -> None:
    """lava-dl's loader beside Lava's environment; taken out of its wheel where it is missing."""
    lava_dl.install()


@pytest.mark.parametrize("frames", [False, True], ids=["images", "frames"])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_every_layer_is_exact(make: Callable[[], Graph], frames: bool, tmp_path: Path) -> None:
    """Several samples in a row: each layer is reset at its own step."""
    graph, exporter = make(), NetxExporter()
    exporter.write(graph, tmp_path)
    x = images(graph, frames=frames)
    got, wanted = exporter.executors[0].run(graph, tmp_path, x), reference(graph, x)
    assert set(got) == {node.name for node in graph.of_kind(SpikingNeuron)} | {"logits"}
    assert first_divergence(wanted, got) is None
    assert all(tensor.any() for tensor in wanted.values())


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_samples_of_any_length_follow_one_another(steps: int, tmp_path: Path) -> None:
    graph, exporter = NETWORKS["convolutional"](steps), NetxExporter()
    exporter.write(graph, tmp_path)
    x = images(graph, 5)
    assert first_divergence(reference(graph, x), exporter.executors[0].run(graph, tmp_path, x)) is None


@pytest.mark.parametrize(
    ("name", "steps", "count"),
    [("tiny.net", 15, 2), ("mnist.net", 16, 2), ("gts/pilotnet_lif/network.net", 8, 1)],
    ids=["tiny", "mnist", "pilotnet"],
)
def test_networks_of_lava_dl_come_back_to_it(
    name: str, steps: int, count: int, lava_dl_networks: Path, tmp_path: Path
) -> None:
    """Read, written, read: the same digest; and lava-dl fires alike."""
    options = ImportOptions(steps=steps, largest=140)
    graph, exporter = read_netx(lava_dl_networks / name, options), NetxExporter()
    exporter.write(graph, tmp_path)
    assert read_netx(tmp_path / "model.net", options).digest == graph.digest
    assert isinstance(graph.input.op, Input)
    x = np.random.default_rng(0).integers(0, 141, (count, *graph.input.op.shape)).astype(np.uint8)
    got = exporter.executors[0].run(graph, tmp_path, x)
    assert set(got) == set(reference(graph, x))
    assert first_divergence(reference(graph, x), got) is None


def all_negative() -> Graph:
    """Its smallest weight, -64, becomes -256 in the loader, which Lava's Dense clips to -255: 8 of them lose 2."""
    first = Linear(frozen(np.full((1, 8), -64), np.int8), frozen([513], np.int32))
    return chain(3, (8,), first, cell(2, 1), Linear(frozen([[1]], np.int8)), largest=1)


def test_what_is_refused_would_come_out_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, exporter = all_negative(), NetxExporter()
    assert "which lava-dl's loader clips" in str(exporter.refusal(graph))
    monkeypatch.setattr(layers, "_check_dense", lambda node, weight: None)
    exporter.write(graph, tmp_path)
    x = np.ones((1, 8), np.uint8)
    got = exporter.executors[0].run(graph, tmp_path, x)
    assert first_divergence(reference(graph, x), got) is not None


def test_zero_weights_make_the_loader_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, exporter = chain(1, (2,), Linear(frozen([[0, 0]], np.int8)), cell(1, 1)), NetxExporter()
    monkeypatch.setattr(layers, "_check_dense", lambda node, weight: None)
    exporter.write(graph, tmp_path)
    with pytest.raises(BackendError, match="OverflowError"):
        exporter.executors[0].run(graph, tmp_path, np.ones((1, 2), np.uint8))


def test_it_is_certified_where_it_was_asked_for(tmp_path: Path) -> None:
    graph = NETWORKS["convolutional"]()
    notes = NetxExporter().write(graph, tmp_path)
    assert notes["arguments"]["reset_interval"] == graph.steps
    results = certify(graph, tmp_path, Samples(images(graph))).results
    (found,) = [result for result in results if result.form == "netx"]
    assert (found.executor, found.status) == ("lava-dl netx", EXACT)
    assert set(found.layers) == {"lif1", "lif3", "lif6", "logits"}
