"""What reading a model file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from snn2chip.graph import Graph, Shape
from snn2chip.ops import Input


@dataclass(frozen=True)
class Loaded:
    """A network as its file gives it.

    Attributes:
        path: where it was read.
        graph: its graph: integer where `integer` is true, else float, to be quantized.
        integer: whether the file holds a network that is quantized already.
        model: the live module with its weights, in evaluation mode, where the file gives one.
        class_names: one a class, or empty.
        metadata: plain JSON values: what the file says about its training, or where a file from elsewhere came from.
    """

    path: Path
    graph: Graph
    integer: bool = False
    model: nn.Module | None = None
    class_names: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def input_shape(self) -> Shape:
        """``(C, H, W)`` or ``(F,)`` of one frame."""
        return self._input.shape

    @property
    def largest(self) -> int:
        """The largest input value, 1..255."""
        return self._input.largest

    @property
    def dataset(self) -> str | None:
        """The data set that the network was trained on, where the file names one."""
        name = self.metadata.get("dataset")
        return name if isinstance(name, str) else None

    @property
    def _input(self) -> Input:
        op = self.graph.input.op
        assert isinstance(op, Input)
        return op
