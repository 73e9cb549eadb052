"""Leaky neurons, hard resets, integrators, maxima and concatenation in Lava's processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip import lava_environment
from snn2chip.artifact import Samples
from snn2chip.certify import EXACT, REFUSED, certify
from snn2chip.exporters import exporter, standard_forms
from snn2chip.exporters.lava import Job, partition, run_jobs
from snn2chip.exporters.lava.exporter import LavaExporter
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.ops import SpikingNeuron
from tests.differential.strategies import Case
from tests.exporters.ecosystem import NETWORKS
from tests.exporters.nir_networks import images
from tests.lava.test_exact import assert_exact


def test_every_network_is_exact(environment: LavaEnvironment) -> None:
    """Fused into two, and one process per layer in pipelined timing; batches of two leave a rest."""
    drawn = [Case(graph, images(graph, 3)) for graph in (make(3) for make in NETWORKS.values())]
    fused = [Job(case.graph, case.inputs, 2, batch=2) for case in drawn]
    pipelined = [Job(case.graph, case.inputs, batch=2, timing="pipelined") for case in drawn]
    for case, result in zip([*drawn, *drawn], run_jobs([*fused, *pipelined], environment), strict=True):
        assert_exact(case, result)


def test_a_fading_current_travels_to_every_layer_that_reads_it() -> None:
    parts = partition(NETWORKS["current_based"](2))
    links = {link.value: (link.targets, link.dtype) for link in parts.links}
    assert parts.stages[0] == ("x", "conv2d1", "leakyintegrator2", "lif3")
    assert links["leakyintegrator2"] == ((1,), "int16")


def test_a_concatenation_joins_spikes_of_several_layers() -> None:
    parts = partition(NETWORKS["hard_reset"](2))
    (stage,) = [names for names in parts.stages if "concat7" in names]
    links = {link.value: link.dtype for link in parts.incoming(parts.stages.index(stage))}
    assert links == {"lif4": "uint8", "lif6": "uint8"}


@pytest.mark.parametrize(
    ("name", "steps", "nir"),
    [
        ("spike_readout", 1, EXACT),
        ("spike_readout", 3, "node 'lif2' (LIF): over T = 3 steps NIR cannot say it"),
        ("membrane_readout", 1, EXACT),
        ("membrane_readout", 3, "node 'lif2' (LIF): over T = 3 steps NIR cannot say it"),
        ("hard_reset", 3, EXACT),
    ],
    ids=["spikes-1", "spikes-3", "membranes-1", "membranes-3", "hard_reset-3"],
)
def test_every_form_is_certified(
    environment: LavaEnvironment, name: str, steps: int, nir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spikes and membranes as logits through every form: exact, or refused by name."""
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(environment.python))
    graph = NETWORKS[name](steps)
    for form in map(exporter, standard_forms()):
        if form.refusal(graph) is None:
            form.write(graph, tmp_path)
    certificate = certify(graph, tmp_path, Samples(images(graph, 3)))
    found = {result.executor or result.form: result for result in certificate.results}
    assert certificate.verdict == EXACT
    if nir != EXACT:
        refused = found.pop("nir")
        assert (refused.status, nir in refused.reason) == (REFUSED, True)
    lava = {executor.name for executor in LavaExporter.executors}
    exact = {"snn2chip.engine", "onnxruntime", *lava, *(["nirtorch"] if nir == EXACT else [])}
    assert {executor for executor, result in found.items() if result.status == EXACT} == exact == set(found)
    layers = {node.name for node in (*graph.of_kind(SpikingNeuron), graph.output)}
    assert all(set(result.layers) == layers for result in found.values())
