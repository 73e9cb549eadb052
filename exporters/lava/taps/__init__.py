"""Lava Processes that feed, observe and join networks made of Lava's own processes. Importing this module imports lava.

Lava's maps are ``(X, Y, C)``, the transpose of ours; it knows no batches, so samples follow one another. A *lag* is the
number of steps by which a value is late: Lava's connections each take one step, its neurons none.

It stands alone in its folder, for the reason that `snn2chip.exporters.lava.processes` gives.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn2chip.exporters.lava.processes import ReportingModel
from snn2chip.graph import Array, Interval, Kind, Node, Shape, Signal
from snn2chip.kernels import per_channel


class Frames:
    """The frames of a ``.npy`` file, ``[S, *shape]`` or ``[S, T, *shape]``, one sample after the other, then zeros."""

    def __init__(self, path: Path, steps: int, shape: Shape) -> None:
        self.stored: Array = np.load(path, mmap_mode="r")
        self.steps = steps
        self.shape = shape

    def at(self, index: int) -> Array:
        """The frame of a step, counted from 0 over all samples, in Lava's layout: int32."""
        sample, step = divmod(index, self.steps)
        frame = np.zeros(self.shape, np.int32)
        if sample < len(self.stored):
            frame[:] = self.stored[sample] if self.stored.ndim == len(self.shape) + 1 else self.stored[sample, step]
        return np.ascontiguousarray(frame.T)


class Feed(AbstractProcess):  # type: ignore[misc]  # lava carries no types
    """Sends a frame at every step."""

    def __init__(self, frames: Frames, **options: Any) -> None:
        super().__init__(frames=frames, **options)
        self.a_out = OutPort(shape=frames.shape[::-1])


class Driver(AbstractProcess):  # type: ignore[misc]
    """Writes a frame into a Var of another process before every step but the first."""

    def __init__(self, frames: Frames, **options: Any) -> None:
        super().__init__(frames=frames, **options)
        self.ref = RefPort(shape=frames.shape[::-1])


class Tap(AbstractProcess):  # type: ignore[misc]
    """Writes what arrives into a ``.npy`` file of shape ``[S, T, *shape]`` that exists already."""

    def __init__(self, path: Path, lag: int, shape: Shape, **options: Any) -> None:
        super().__init__(path=path, lag=lag, **options)
        self.a_in = InPort(shape=shape[::-1])


class Probe(AbstractProcess):  # type: ignore[misc]
    """Writes what a Var of another process holds after every step into such a file."""

    def __init__(self, path: Path, lag: int, shape: Shape, **options: Any) -> None:
        super().__init__(path=path, lag=lag, **options)
        self.ref = RefPort(shape=shape[::-1])


class Delay(AbstractProcess):  # type: ignore[misc]
    """Sends what it received `lag` steps before."""

    def __init__(self, lag: int, shape: Shape, **options: Any) -> None:
        super().__init__(lag=lag, shape=shape, **options)
        self.in_0 = InPort(shape=shape[::-1])
        self.a_out = OutPort(shape=shape[::-1])


class Cells(AbstractProcess):  # type: ignore[misc]
    """One node of a graph without weights: a layer of neurons, an integrator, a sum, a reshape.

    `biases` are those of the synapses before each input, ``[C]`` or None: Lava's synapses have none. The node works on
    a sample from step `lag` on, for as many steps as the sample has, and is reset in the first of them.
    """

    def __init__(
        self,
        node: Node,
        biases: tuple[Array | None, ...],
        sources: tuple[Shape, ...],
        shape: Shape,
        steps: int,
        lag: int,
        **options: Any,
    ) -> None:
        super().__init__(node=node, biases=biases, sources=sources, shape=shape, steps=steps, lag=lag, **options)
        for index, source in enumerate(sources):
            setattr(self, f"in_{index}", InPort(shape=source[::-1]))
        self.a_out = OutPort(shape=shape[::-1])


@implements(proc=Feed, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FeedModel(ReportingModel):
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=8)

    def compute(self) -> None:
        self.a_out.send(self.parameters["frames"].at(self.time_step - 1))


@implements(proc=Driver, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DriverModel(ReportingModel):
    ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=8)

    def compute(self) -> None:
        """Nothing happens while spikes travel."""

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        """After every step, when no other process works."""
        self.ref.write(self.parameters["frames"].at(self.time_step))


class _Keeper(ReportingModel):
    """Keeps values of the steps that belong to samples."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.kept: Array = np.load(proc_params["path"], mmap_mode="r+")

    def keep(self, value: Array) -> None:
        sample, step = divmod(self.time_step - 1 - self.parameters["lag"], self.kept.shape[1])
        if 0 <= sample < len(self.kept):
            self.kept[sample, step] = np.asarray(value).T


@implements(proc=Tap, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class TapModel(_Keeper):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)

    def compute(self) -> None:
        self.keep(self.a_in.recv())


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbeModel(_Keeper):
    ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=32)

    def compute(self) -> None:
        """Nothing happens while spikes travel."""

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        """After every step, when no other process works."""
        self.keep(self.ref.read())


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayModel(ReportingModel):
    in_0: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        empty = np.zeros(proc_params["shape"][::-1], np.int32)
        self.waiting = deque([empty] * proc_params["lag"])

    def compute(self) -> None:
        self.a_out.send(self.waiting.popleft())
        self.waiting.append(self.in_0.recv())


class _CellsModel(ReportingModel):
    """Computes with the operation's own arithmetic, in our layout, for one sample at a time."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.node: Node = proc_params["node"]
        self.current_node = self.node.name
        nothing = np.zeros(proc_params["shape"][0], np.int64)
        self.signal = Signal(proc_params["shape"], Kind.CURRENT, Interval(nothing, nothing))
        self.state: Array | None = None

    def compute(self) -> None:
        arrived = [getattr(self, f"in_{index}").recv() for index in range(len(self.parameters["sources"]))]
        moment = self.time_step - 1 - self.parameters["lag"]
        value = np.zeros(self.signal.shape, np.int32) if moment < 0 else self._step(arrived, moment)
        self.a_out.send(np.ascontiguousarray(value.T, np.int32))

    def _step(self, arrived: list[Array], moment: int) -> Array:
        if moment % self.parameters["steps"] == 0:
            self.state = self.node.op.initial_state(self.signal, 1)
        values = [value.T[None].astype(np.int32) for value in arrived]
        biases = self.parameters["biases"]
        shifted = [
            value if bias is None else value + per_channel(bias, value.ndim)
            for value, bias in zip(values, biases, strict=True)
        ]
        result, self.state = self.node.op.step(tuple(shifted), self.state)
        first: Array = result[0]
        return first


def cells_model(process: Cells) -> type[ReportingModel]:
    """The model class for one `Cells`: ports have to be declared on classes, and their number differs."""
    count = len(process.proc_params["sources"])
    ports: dict[str, Any] = {
        f"in_{index}": LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32) for index in range(count)
    }
    ports["a_out"] = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    model = type(f"CellsModel{count}", (_CellsModel,), {"__module__": __name__, **ports})
    made: type[ReportingModel] = tag("fixed_pt")(requires(CPU)(implements(proc=Cells, protocol=LoihiProtocol)(model)))
    return made
