"""What a target form offers. One module or folder per form; forms do not know one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from snn2chip.graph import Array, Graph

#: What an executor returns: integer tensors ``[B, T, *shape]`` by node name. The output node's per-step
#: logits are always among them, and every neuron layer that the form exposes.
Tensors = Mapping[str, Array]


class Executor(Protocol):
    """Runs a written form with a program that we did not write (onnxruntime, NIRTorch, Lava's runtime)."""

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
