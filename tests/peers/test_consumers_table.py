"""What docs/nir-consumers.md says of each library is what it does."""

from __future__ import annotations

import numpy as np
import pytest

from snn2chip.interop import consumers
from snn2chip.interop.consumers import CONSUMERS, EXACT, Consumer, Job, Outcome
from snn2chip.ops import SpikingNeuron
from tests.exporters.nir_networks import images, reference
from tests.peers import consumer_networks, consumers_document
from tests.peers.consumer_networks import KINDS, SAMPLES, SHAPES, Kind

_AGAIN = "run `python -m tests.peers.consumers_document` in .venv-peers"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    return dict(consumer_networks.jobs(tmp_path_factory.mktemp("files")))


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.key)
def test_every_verdict_is_measured_again(consumer: Consumer, jobs: dict[str, Job]) -> None:
    found = consumers.measure(jobs, [consumer])[consumer.key]
    written = consumer_networks.documented()["outcomes"][consumer.key]
    assert set(found) == set(written), _AGAIN
    differing = {name: outcome for name, outcome in found.items() if _gist(outcome) != _gist(Outcome(**written[name]))}
    assert not differing, _AGAIN
    if consumer.way == "map":
        assert {outcome.verdict for outcome in found.values()} == {EXACT}


def _gist(outcome: Outcome) -> tuple[str, str]:
    """Of an error only its class: messages name nodes, and whole arrays."""
    refused = outcome.verdict == consumers.REFUSED
    return outcome.verdict, outcome.detail.partition(":")[0] if refused else outcome.detail


def test_the_versions_are_those_of_this_environment() -> None:
    assert consumers.installed() == consumer_networks.documented()["versions"], _AGAIN


def test_the_page_shows_the_verdicts() -> None:
    text = consumers_document.DOCUMENT.read_text(encoding="utf-8")
    assert text == consumers_document.render(consumer_networks.documented()), f"{_AGAIN} (`text`: without measuring)"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_every_layer_of_the_networks_says_something(kind: Kind, shape: str) -> None:
    """Silent or saturated layers would make wrong readers look exact."""
    graph = kind.graph(shape)
    tensors = reference(graph, images(graph, SAMPLES))
    for node in graph.of_kind(SpikingNeuron):
        assert len(np.unique(tensors[node.name])) > 1, node.name
    assert len(np.unique(tensors[graph.output.name], axis=0)) == SAMPLES
    if kind.steps > 1:
        assert (np.diff(tensors[graph.output.name], axis=1) != 0).any(), "steps that are all alike test no state"
