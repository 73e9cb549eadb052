"""An exported network as connected Lava Processes. Importing this module imports lava."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.run_configs import Loihi2SimCfg

from snn2chip.exporters.lava import processes
from snn2chip.exporters.lava.partition import Partition
from snn2chip.exporters.lava.processes import Sink, SinkModel, Source, SourceModel, Stage
from snn2chip.exporters.lava.program import StageProgram
from snn2chip.graph import Graph

#: Slots per channel: one to write and one to read. Lava's default of 64 fills small shared memories and is slower.
COMPILE_CONFIG = {"pypy_channel_size": 2}

_serial = itertools.count()


@dataclass(frozen=True)
class Network:
    """The stages, connected; `models` maps every process to its model.

    Connect an OutPort that sends ``[batch, *input shape]`` (values 0..largest, at each of the T steps of a sample) to
    `input`; `output` sends the current of every class, int32 ``[batch, classes]``, within the same step. The sum over T
    steps is the logits. Neurons reset by themselves every T steps.
    """

    graph: Graph
    stages: Mapping[str, Stage]
    models: Mapping[Any, Any]

    @property
    def input(self) -> InPort:
        return next(iter(self.stages.values())).a_in

    @property
    def output(self) -> OutPort:
        return list(self.stages.values())[-1].a_out

    def run_config(self, **options: Any) -> Loihi2SimCfg:
        """A run configuration that knows the models of the stages; `options` go to ``Loihi2SimCfg``."""
        chosen = dict(self.models) | options.pop("exception_proc_model_map", {})
        return Loihi2SimCfg(exception_proc_model_map=chosen, **options)


def build(
    graph: Graph,
    parts: Partition,
    batch: int,
    records: Mapping[str, Path] | None = None,
    failure_file: Path | None = None,
) -> Network:
    """One process per stage. `records` names the ``.npy`` file, ``[S, T, *shape]``, that keeps each recorded node."""
    kept = dict(records or {})
    stages, models = {}, {}
    for index, name in enumerate(parts.names):
        program = StageProgram.of(graph, parts, index, batch, frozenset(kept))
        links = parts.incoming(index), parts.outgoing(index)
        process, model = processes.stage_classes(f"{next(_serial)}", program, *links)
        mine = {node: kept[node] for node in program.nodes if node in kept}
        stages[name] = process(program, *links, name=name, records=mine, failure_file=failure_file)
        models[stages[name]] = model
    for link in parts.links:
        source = getattr(stages[parts.names[link.source]], link.out_port)
        source.connect([getattr(stages[parts.names[target]], link.in_port) for target in link.targets])
    return Network(graph, stages, models)


def attach_files(network: Network, inputs: Path, outputs: Path, batch: int, failure_file: Path) -> dict[Any, Any]:
    """A source and a sink for `network`; returns all models, theirs included."""
    graph = network.graph
    shapes = (graph.signals[node.name].shape for node in (graph.input, graph.output))
    source_shape, sink_shape = shapes
    source = Source(inputs, graph.steps, batch, source_shape, name="source", failure_file=failure_file)
    sink = Sink(outputs, graph.steps, batch, sink_shape, name="sink", failure_file=failure_file)
    source.a_out.connect(network.input)
    network.output.connect(sink.a_in)
    return {**network.models, source: SourceModel, sink: SinkModel}
