"""What became of a network from elsewhere: whether it got in, how it agreed, and which forms are exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snn2chip import api, certify
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops.neuron import SpikingNeuron
from snn2chip.quantize import quantize
from tests.peers import agreement
from tests.peers.network import Network


@dataclass(frozen=True)
class Verdict:
    """One row of docs/third-party-networks.md.

    Attributes:
        refused: the sentence with which the network, or its quantization, is refused; empty where it is not.
        spikes: how many spike counts were compared with the framework's; 0 for files that nothing here can run.
        agreement: ``exact``, or the first difference and what explains it.
        forms: for each form ``EXACT``, or why it is not there.
    """

    refused: str = ""
    spikes: int = 0
    agreement: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(network: Network, folder: Path) -> Verdict:
    """Read a network, compare it with its framework, quantize it, export it into `folder` and certify every form."""
    inputs = network.inputs()
    try:
        graph = network.read(network, network.model())
    except UserError as error:
        return Verdict(refused=str(error))
    expected = network.spikes(network.model(), inputs)
    if network.by_order:
        names = [node.name for node in graph.of_kind(SpikingNeuron)]
        expected = dict(zip(names, expected.values(), strict=True))
    found = agreement.compare(graph, inputs, expected, network.tie)
    assert found.explained, f"{network.name}: {found.first}"
    said = "exact" if found.first is None else str(found.first)
    integer = quantized(graph)
    if isinstance(integer, str):
        return Verdict(refused=integer, spikes=found.compared, agreement=said)
    return Verdict(spikes=found.compared, agreement=said, forms=export(integer, inputs, folder))


def quantized(graph: Graph) -> Graph | str:
    """The integer graph, or the sentence with which it is refused."""
    try:
        return quantize(graph)
    except UserError as error:
        return str(error)


def export(integer: Graph, inputs: Array, folder: Path) -> dict[str, str]:
    """What became of every form: ``EXACT`` where all programs that run it are, or what the first other one says."""
    compiled = api.Compiled(integer, "network", samples=Samples(inputs, None))
    exported = api.write(compiled, load_chip("loihi2"), folder / "artifact")
    forms: dict[str, str] = {}
    for result in exported.certificate.results:
        said = result.status
        if result.status != certify.EXACT:
            said = f"{result.status}: {result.reason or result.divergence}"
        if forms.setdefault(result.form, said) == certify.EXACT:
            forms[result.form] = said
    return forms
