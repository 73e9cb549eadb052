"""What a target form offers. One module or folder per form; forms do not know one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from snn2chip.errors import Snn2chipError
from snn2chip.graph import Array, Graph

#: What an executor returns: integer tensors ``[B, T, *shape]`` by node name. The output node's per-step
#: logits are always among them, and every neuron layer that the form exposes.
Tensors = Mapping[str, Array]


class Executor(Protocol):
    """Runs a written form with a program that we did not write (onnxruntime, NIRTorch, Lava's runtime).

    It may have two more attributes: `timing` (see `timing_of`) and `largest_work` (see `largest_work_of`).
    """

    @property
    def name(self) -> str:
        """Such as ``onnxruntime`` or ``lava per-layer``."""

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """Execute what `write` put into `folder` on uint8 `inputs` (``[B, *shape]`` or ``[B, T, *shape]``).

        `graph` serves to name tensors and to know their shapes, never to compute them.
        Raises: BackendError where the program is missing, fails or runs out of time.
        """


class Exporter(Protocol):
    """Writes one form of an integer graph into an artifact folder."""

    @property
    def name(self) -> str:
        """``nir``, ``onnx`` or ``lava``."""

    @property
    def files(self) -> tuple[str, ...]:
        """What `write` makes inside the artifact folder (files or folders)."""

    @property
    def executors(self) -> tuple[Executor, ...]:
        """The programs that the certificate runs."""

    def refusal(self, graph: Graph) -> str | None:
        """None where the form can express `graph`; else one sentence that names the node and the reason."""

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """Write the form. Returns JSON-ready notes: profile, versions, what the form can and cannot express."""


@runtime_checkable
class RunsTogether(Protocol):
    """An exporter whose executors share one costly start, such as a worker process."""

    def run_all(self, graph: Graph, folder: Path, inputs: Array) -> Mapping[str, Tensors | Snn2chipError]:
        """For each of `executors`, by name, what its `run` gives; or the BackendError or CheckFailed that it raises."""


@runtime_checkable
class Confirms(Protocol):
    """An exporter whose files are read back as the network that they hold."""

    def confirm(self, graph: Graph, path: Path) -> None:
        """UserError, naming what differs, where the file at `path`, which was read as `graph`, says something else."""


@runtime_checkable
class Chooses(Protocol):
    """An exporter that writes a network in one way or another."""

    def chosen(self, graph: Graph) -> str:
        """Which way it takes for a graph that it can express, and why, in one sentence."""


def timing_of(executor: Executor) -> str:
    """``algorithmic`` unless the executor says ``pipelined``; tensors are aligned to algorithmic steps in both."""
    return str(getattr(executor, "timing", "algorithmic"))


def largest_work_of(executor: Executor) -> int | None:
    """How many products of a weight and a value a slow program may be asked for in one certificate; None: no limit."""
    limit = getattr(executor, "largest_work", None)
    return None if limit is None else int(limit)


@dataclass(frozen=True)
class Registered:
    """Where an exporter lives: imported only when it is asked for.

    Attributes:
        module, attribute: what makes the exporter when called without arguments.
        standard: whether every export writes the form; others are written on request (``--also NAME``).
    """

    module: str
    attribute: str
    standard: bool = True
