"""An exported network as connected Lava Processes. Importing this module imports lava."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.variable import Var
from lava.magma.core.run_configs import Loihi2SimCfg

from snn2chip.errors import UserError
from snn2chip.exporters.lava import processes
from snn2chip.exporters.lava.partition import Partition
from snn2chip.exporters.lava.processes import Sink, SinkModel, Source, SourceModel, Stage
from snn2chip.exporters.lava.program import StageProgram
from snn2chip.exporters.lava.records import Records, allocate
from snn2chip.graph import Graph
from snn2chip.lowering.pipeline import Timing, schedule

#: Slots per channel: one to write and one to read. Lava's default of 64 fills small shared memories and is slower.
COMPILE_CONFIG = {"pypy_channel_size": 2}

_serial = itertools.count()


@dataclass(frozen=True)
class Network:
    """The stages, connected; `models` maps every process of ours to its model.

    Connect an OutPort that sends ``[batch, *input shape]`` (values 0..largest, at each of the T steps of a sample) to
    `input`; `output` sends the current of every class, int32 ``[batch, classes]``, `latency` steps later: 0 in
    algorithmic timing, the depth of the network in pipelined timing. The sum over T steps is the logits. Samples follow
    one another every T steps, and neurons reset by themselves.
    """

    graph: Graph
    stages: Mapping[str, Stage]
    models: dict[Any, Any]
    batch: int
    latency: int

    @property
    def input(self) -> InPort:
        return next(iter(self.stages.values())).a_in

    @property
    def output(self) -> OutPort:
        return list(self.stages.values())[-1].a_out

    def state(self, node: str) -> Var:
        """The Var that holds the potential of a neuron node, or the value of an integrator, int32 ``[batch, *shape]``.

        Raises: UserError where the network has no such node, or it keeps nothing from step to step.
        """
        for stage in self.stages.values():
            stateful = stage.proc_params["program"].stateful
            if node in stateful:
                return getattr(stage, f"u_{stateful.index(node)}")
        known = [name for stage in self.stages.values() for name in stage.proc_params["program"].stateful]
        raise UserError(f"node {node!r} has no state to look at: choose one of {', '.join(known)}")

    def steps(self, samples: int) -> int:
        """Steps after which the logits of `samples` samples have left the network."""
        return self.graph.steps * -(-samples // self.batch) + self.latency

    def connect_files(self, inputs: str | Path, outputs: str | Path, failure_file: Path | None = None) -> int:
        """Between a file that is read and one that is made, by processes of their own; returns the steps to run.

        Args: inputs, ``.npy`` of uint8 ``[S, *shape]`` or ``[S, T, *shape]``; outputs, ``.npy`` of int32
        ``[S, T, classes]``; failure_file, where an error is written down.
        """
        graph, samples = self.graph, int(np.load(inputs, mmap_mode="r").shape[0])
        source_shape, sink_shape = (graph.signals[node.name].shape for node in (graph.input, graph.output))
        allocate(Path(outputs), (samples, graph.steps, *sink_shape), "int32")
        source = Source(Path(inputs), graph.steps, self.batch, source_shape, name="source", failure_file=failure_file)
        delay, name = self.latency, "sink"
        sink = Sink(Path(outputs), graph.steps, self.batch, sink_shape, delay, name=name, failure_file=failure_file)
        source.a_out.connect(self.input)
        self.output.connect(sink.a_in)
        self.models.update({source: SourceModel, sink: SinkModel})
        return self.steps(samples)

    def run_config(self, **options: Any) -> Loihi2SimCfg:
        """A run configuration that knows the models of the stages; `options` go to ``Loihi2SimCfg``."""
        chosen = dict(self.models) | options.pop("exception_proc_model_map", {})
        return Loihi2SimCfg(exception_proc_model_map=chosen, **options)


def build(
    graph: Graph,
    parts: Partition,
    batch: int,
    timing: Timing = "algorithmic",
    records: Records | None = None,
    samples: int | None = None,
    failure_file: Path | None = None,
) -> Network:
    """One process per stage. `samples` is how many there will be, where that is known: nothing is computed after."""
    kept = records or Records(0)
    limit = None if samples is None else graph.steps * -(-samples // batch)
    stages, models = {}, {}
    for index, name in enumerate(parts.names):
        program = StageProgram(graph, parts, index, batch, timing, limit)
        process, model = processes.stage_classes(f"{next(_serial)}", program)
        values, states = (
            {node: files[node] for node in program.nodes if node in files} for files in (kept.values, kept.states)
        )
        stages[name] = process(program, name=name, records=values, state_records=states, failure_file=failure_file)
        models[stages[name]] = model
    for link in parts.links:
        source = getattr(stages[parts.names[link.source]], link.out_port)
        source.connect([getattr(stages[parts.names[target]], link.in_port) for target in link.targets])
    return Network(graph, stages, models, batch, schedule(graph, timing).ready[graph.output.name])
