"""The Lava Processes of an exported network and the models that run them. Importing this module imports lava.

It stands alone in its folder: to find the model of a process, Lava's compiler executes every file beside the process,
once per process. Ports and states differ from stage to stage, while Lava wants them declared on classes; so
`stage_classes` makes one Process class and one model class per stage, and leaves them in this module for the compiler.
"""

from __future__ import annotations

import json
import sys
import traceback
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn2chip.exporters.lava.program import StageProgram
from snn2chip.graph import Array

INPUT_PORT = "a_in"
OUTPUT_PORT = "a_out"


class Stage(AbstractProcess):  # type: ignore[misc]  # lava carries no types
    """One part of the network.

    Ports ``in_<k>`` and ``out_<k>`` are the partition's links; the first stage also has ``a_in``, the last ``a_out``.
    The Var ``u_<i>`` is the state of the stage's i-th node that has one, int32 ``[batch, *shape]``: the potential of a
    neuron, the value of an integrator.
    """

    def __init__(self, program: StageProgram, **options: Any) -> None:
        super().__init__(program=program, **options)
        signals, graph = program.graph.signals, program.graph
        for link in program.incoming:
            setattr(self, link.in_port, InPort(shape=(program.batch, *signals[link.value].shape)))
        for link in program.outgoing:
            setattr(self, link.out_port, OutPort(shape=(program.batch, *signals[link.value].shape)))
        if graph.input.name in program.nodes:
            setattr(self, INPUT_PORT, InPort(shape=(program.batch, *signals[graph.input.name].shape)))
        if graph.output.name in program.nodes:
            setattr(self, OUTPUT_PORT, OutPort(shape=(program.batch, *signals[graph.output.name].shape)))
        for index, name in enumerate(program.stateful):
            setattr(self, f"u_{index}", Var(shape=(program.batch, *signals[name].shape), init=0))


class Source(AbstractProcess):  # type: ignore[misc]
    """Sends a ``.npy`` file, batch by batch: frames ``[S, T, *shape]``, or images ``[S, *shape]`` at every step."""

    def __init__(self, path: Path, steps: int, batch: int, shape: tuple[int, ...], **options: Any) -> None:
        super().__init__(path=path, steps=steps, batch=batch, shape=shape, **options)
        setattr(self, OUTPUT_PORT, OutPort(shape=(batch, *shape)))


class Sink(AbstractProcess):  # type: ignore[misc]
    """Writes what arrives at every step, from the step after `delay` on, into a ``.npy`` file ``[S, T, *shape]`` that
    exists already."""

    def __init__(
        self, path: Path, steps: int, batch: int, shape: tuple[int, ...], delay: int = 0, **options: Any
    ) -> None:
        super().__init__(path=path, steps=steps, batch=batch, shape=shape, delay=delay, **options)
        setattr(self, INPUT_PORT, InPort(shape=(batch, *shape)))


class ReportingModel(PyLoihiProcessModel):  # type: ignore[misc]
    """What the models share: time within a sample, and a failure that is written down before Lava swallows it."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params
        self.name = str(proc_params.get("name"))
        self.failure_file: Path | None = proc_params.get("failure_file")
        self.current_node = ""

    def run_spk(self) -> None:
        try:
            self.compute()
        except Exception as error:
            # Lava forgets exceptions of processes in the middle of a network and waits for ever.
            self._write_down(error)
            raise

    @abstractmethod
    def compute(self) -> None:
        """One time step."""

    def position(self, steps: int, batch: int, delay: int = 0) -> tuple[int, int]:
        """(index of the batch's first sample, step within the sample), `delay` steps ago; negative before the first."""
        index, step = divmod(self.time_step - 1 - delay, steps)
        return index * batch, step

    def _write_down(self, error: Exception) -> None:
        traceback.print_exc(file=sys.stderr)
        if self.failure_file is not None:
            report = {"stage": self.name, "node": self.current_node, "error": f"{type(error).__name__}: {error}"}
            temporary = self.failure_file.with_suffix(f".{self.model_id}")
            temporary.write_text(json.dumps(report | {"step": self.time_step}))
            temporary.replace(self.failure_file)


class _StageModel(ReportingModel):
    """Sends what it computed a step ago, receives, computes, and sends at once what others need in the same step.

    In `algorithmic` timing everything is sent at once, in `pipelined` timing nearly nothing (see `program.hop`).
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.program: StageProgram = proc_params["program"]
        self.records = _opened(proc_params.get("records"))
        self.state_records = _opened(proc_params.get("state_records"))
        self.previous: dict[str, Array] = {}
        self.silence: dict[str, Array] = {}

    def compute(self) -> None:
        program, time = self.program, self.time_step - 1
        self._send(self.previous, hop=1)
        received = {link: getattr(self, link.in_port).recv() for link in program.incoming}
        frame = getattr(self, INPUT_PORT).recv() if hasattr(self, INPUT_PORT) else None
        try:
            computed = program.step(time, received, frame)
        finally:
            self.current_node = program.current_node
        self._send(computed, hop=0)
        self.previous = computed
        self._keep(computed, time)

    def _send(self, values: dict[str, Array], hop: int) -> None:
        program = self.program
        for link in program.outgoing:
            if program.hops[link] == hop:
                self._send_one(link.out_port, values, link.value, link.dtype)
        if hasattr(self, OUTPUT_PORT) and program.output_hop == hop:
            self._send_one(OUTPUT_PORT, values, program.graph.output.name, "int32")

    def _send_one(self, port: str, values: dict[str, Array], name: str, dtype: str) -> None:
        if name in values:
            getattr(self, port).send(values[name].astype(dtype, copy=False))
            return
        if port not in self.silence:  # the layer is not active: no spike leaves it
            shape = (self.program.batch, *self.program.graph.signals[name].shape)
            self.silence[port] = np.zeros(shape, dtype)
        getattr(self, port).send(self.silence[port])

    def _keep(self, computed: dict[str, Array], time: int) -> None:
        for name, record in self.records.items():
            self._write(record, name, time, computed.get(name))
        for index, name in enumerate(self.program.stateful):
            if name in computed:
                setattr(self, f"u_{index}", self.program.states[name])
        for name, record in self.state_records.items():
            self._write(record, name, time, self.program.states.get(name))

    def _write(self, record: Array, name: str, time: int, values: Array | None) -> None:
        moment = self.program.moment(name, time)
        if moment is None or values is None:
            return
        first, step = moment
        count = max(0, min(len(record) - first, self.program.batch))
        record[first : first + count, step] = values[:count]


def _opened(paths: Any) -> dict[str, Array]:
    return {name: np.load(path, mmap_mode="r+") for name, path in (paths or {}).items()}


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceModel(ReportingModel):
    """Pads the last batch with zeros, and sends zeros after it."""

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8, precision=8)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.frames: Array = np.load(proc_params["path"], mmap_mode="r")
        self.per_step = self.frames.ndim == len(proc_params["shape"]) + 2

    def compute(self) -> None:
        batch, shape = self.parameters["batch"], self.parameters["shape"]
        first, step = self.position(self.parameters["steps"], batch)
        chosen = self.frames[first : first + batch]
        frame = np.zeros((batch, *shape), dtype=np.uint8)
        frame[: len(chosen)] = chosen[:, step] if self.per_step else chosen
        self.a_out.send(frame)


@implements(proc=Sink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SinkModel(ReportingModel):
    """Drops what comes before the first sample and after the last one."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.kept: Array = np.load(proc_params["path"], mmap_mode="r+")

    def compute(self) -> None:
        arrived = self.a_in.recv()
        first, step = self.position(self.parameters["steps"], self.parameters["batch"], self.parameters["delay"])
        if 0 <= first < len(self.kept):
            count = min(len(self.kept) - first, self.parameters["batch"])
            self.kept[first : first + count, step] = arrived[:count]


def stage_classes(name: str, program: StageProgram) -> tuple[type[Stage], type[_StageModel]]:
    """The Process class of one stage, and the model class with exactly its ports and states."""
    graph = program.graph
    declared: dict[str, Any] = {link.in_port: _declared(PyInPort, link.dtype, link.bits) for link in program.incoming}
    declared |= {link.out_port: _declared(PyOutPort, link.dtype, link.bits) for link in program.outgoing}
    if graph.input.name in program.nodes:
        # People connect sources of their own, which may send int32, and several of them, whose sum it is then.
        declared[INPUT_PORT] = _declared(PyInPort, "int32", graph.signals[graph.input.name].interval.bits)
    if graph.output.name in program.nodes:
        declared[OUTPUT_PORT] = _declared(PyOutPort, "int32", graph.signals[graph.output.name].interval.bits)
    for index, _ in enumerate(program.stateful):
        declared[f"u_{index}"] = LavaPyType(np.ndarray, np.int32, precision=24)
    process = type(f"Stage_{name}", (Stage,), {"__module__": __name__, "__doc__": Stage.__doc__})
    model = type(f"StageModel_{name}", (_StageModel,), {"__module__": __name__, **declared})
    model = tag("fixed_pt")(requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model)))
    setattr(sys.modules[__name__], model.__name__, model)
    return process, model


def _declared(port: Any, dtype: str, bits: int) -> Any:
    return LavaPyType(port.VEC_DENSE, np.dtype(dtype).type, precision=bits)
