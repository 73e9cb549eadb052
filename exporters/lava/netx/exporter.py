"""The netx form among the others: see `snn2chip.exporters.base`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.errors import BackendError, CheckFailed, GraphError
from snn2chip.exporters.base import Executor, Tensors
from snn2chip.exporters.lava import joined
from snn2chip.exporters.lava.host import run_documents
from snn2chip.exporters.lava.netx import lava_dl
from snn2chip.exporters.lava.netx.file import FILE, write
from snn2chip.exporters.lava.netx.layers import lower
from snn2chip.exporters.lava.netx.neurons import FRACTION_BITS
from snn2chip.graph import Array, Graph
from snn2chip.lava_environment import require
from snn2chip.ops import Flatten, LeakyIntegrator, SpikingNeuron

RUNNER = "snn2chip.exporters.lava.netx.runner"


class LavaDlExecutor:
    """lava-dl's own loader, on Lava's runtime, in the isolated worker."""

    name = "lava-dl netx"
    #: Lava's Conv made about 10**7 products of a weight and a value in a second, with 10,000 kernels on maps of 8x8.
    largest_work = 10**8

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """See `snn2chip.exporters.base.Executor.run`: every layer of neurons, and the logits of every step."""
        environment = require()
        if not lava_dl.installed(environment):
            raise BackendError(f"lava-dl's loader is not in {environment.root}: {lava_dl.MEND}")
        record = tuple(
            layer.node for layer in lower(graph) if layer.neuron is not None and layer.node != graph.output.name
        )

        def prepare(work: Path) -> list[dict[str, Any]]:
            job = joined.document(graph, inputs, work, RUNNER, folder / FILE, record)
            return [job | {"arguments": arguments(graph), "lava_dl": str(lava_dl.folder(environment))}]

        (result,) = run_documents(prepare, environment)
        if result.error is not None:
            raise result.error
        return result.tensors | {graph.output.name: _logits(graph, result.tensors)}


class NetxExporter:
    """``model.net``: what lava-dl's network loader reads."""

    name = "netx"
    files: tuple[str, ...] = (FILE,)
    executors: tuple[Executor, ...] = (LavaDlExecutor(),)

    def refusal(self, graph: Graph) -> str | None:
        """None where netx can express `graph`; else one sentence that names the node and the reason."""
        try:
            lower(graph)
        except GraphError as error:
            return str(error)
        return None

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """See `snn2chip.exporters.base.Exporter.write`. Raises: GraphError as `refusal` says."""
        write(folder / FILE, lower(graph), graph.steps)
        return {
            "written_for": "lava-dl 0.6.0, lava.lib.dl.netx.hdf5.Network",
            "arguments": arguments(graph),
            "timing": "a layer is one step behind its source; layer k is reset at step k of every sample",
            "exact": "every layer's spikes at every step, and the potentials of a last layer without spikes",
            "not_expressed": ["the number of steps of a sample: give it as reset_interval", "names of nodes"],
        }


def arguments(graph: Graph) -> dict[str, int]:
    """What `netx.hdf5.Network` has to be told about samples: they follow one another without a gap."""
    largest, neurons = graph.signals[graph.input.name].interval.max, isinstance(graph.nodes[1].op, SpikingNeuron)
    return {
        "reset_interval": graph.steps,
        "reset_offset": 0 if neurons else 1,  # neurons at the input are no step behind it
        "input_message_bits": largest.bit_length() if largest > 1 and not neurons else 0,
    }


def _logits(graph: Graph, tensors: dict[str, Array]) -> Array:
    """The output of every step: the last layer's spikes, or what its potentials say, which have 6 fraction bits."""
    before = graph[graph.output.inputs[0]]
    before = graph[before.inputs[0]] if isinstance(before.op, Flatten) else before
    if before.name in tensors:
        return tensors[before.name].reshape(*tensors[before.name].shape[:2], -1)
    potentials = tensors[graph.output.name]
    if isinstance(before.op, LeakyIntegrator):
        return potentials
    steps, rest = np.divmod(np.diff(potentials, axis=1, prepend=0), 2**FRACTION_BITS)
    if rest.any():
        raise CheckFailed(f"node {graph.output.name!r}: the potentials that lava-dl's network holds are no whole sums")
    return steps
