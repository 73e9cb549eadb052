"""What a certificate says: one result for each form in each program, the inputs, and what they exercised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import snn2chip

FORMAT = "snn2chip-certificate-2"

EXACT = "EXACT"
DIFFERENT = "DIFFERENT"
REFUSED = "REFUSED"
NOT_RUN = "NOT RUN"
#: Of a layer that a form does not expose.
NOT_SEEN = "NOT SEEN"


@dataclass(frozen=True)
class Presynaptic:
    """One value that reaches a neuron: `index` of node `layer` sent `value` through a synapse of `weight`.

    Paths from one place that meet again count as one synapse, whose weight is their sum.
    """

    layer: str
    index: tuple[int, ...]
    value: int
    weight: int


@dataclass(frozen=True)
class Cause:
    """What one neuron saw in one step, by the interpreter.

    Attributes:
        operation: of the layer, such as ``MultiLevelIF``.
        parameters: those of the neuron's channel: theta, levels, ...
        potential: u, what the step before left; None for the output, which keeps none.
        current: what reached it in this step; None where it has no current of its own.
        bias: the part of the current that does not depend on any input.
        inputs: the values that are not zero, strongest contribution first, at most `snn2chip.certify.cause.SHOWN`.
        more: how many more are not zero, `silent`: how many of its inputs are zero.
    """

    operation: str
    parameters: Mapping[str, Any]
    potential: int | None
    current: int
    bias: int
    inputs: tuple[Presynaptic, ...]
    more: int
    silent: int


@dataclass(frozen=True)
class Divergence:
    """The first place where a form differs, in graph order, then by step and input.

    `input_set` and `sample` name the input, `index` the neuron: ``[c, y, x]`` or ``[f]``. `differing` counts the
    integers of that layer that differ.
    """

    layer: str
    step: int
    input_set: str
    sample: int
    index: tuple[int, ...]
    expected: int
    got: int
    differing: int
    cause: Cause | None = None

    def __str__(self) -> str:
        return self.between("expected {}, got {}")

    def between(self, values: str) -> str:
        """The place in words, and `values`, a format for the two values."""
        return (
            f"layer {self.layer!r}, step {self.step}, {self.input_set} {self.sample}, neuron {list(self.index)}: "
            f"{values.format(self.expected, self.got)} ({self.differing} integers of this layer differ)"
        )


@dataclass(frozen=True)
class LayerResult:
    """One layer of one form: `compared` integers over `steps` steps, of which `differing` differ.

    `status` is ``EXACT``, ``DIFFERENT`` (from `first_step` on) or ``NOT SEEN`` (the form does not expose the layer).
    """

    layer: str
    status: str
    steps: int = 0
    compared: int = 0
    differing: int = 0
    first_step: int | None = None


@dataclass(frozen=True)
class FormResult:
    """What came of one form in one program.

    Attributes:
        form: ``torch``, ``nir``, ``onnx``, ``lava``, ...
        executor: the program that ran it, or an empty string.
        status: ``EXACT``, ``DIFFERENT``, ``REFUSED`` (the form cannot express the network) or ``NOT RUN``.
        timing: ``algorithmic``, or ``pipelined``, whose steps are compared after they were aligned.
        inputs: how many inputs of each set it was given; slow programs are given fewer of a large network.
        rows: the neuron layers and the output.
        divergence: the first difference.
        reason: why it was refused or not run.
    """

    form: str
    executor: str
    status: str
    timing: str = "algorithmic"
    inputs: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[LayerResult, ...] = ()
    divergence: Divergence | None = None
    reason: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """The neuron layers and the output that were compared."""
        return tuple(row.layer for row in self.rows if row.status != NOT_SEEN)

    @property
    def compared(self) -> int:
        """How many integers were compared."""
        return sum(row.compared for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["layers"] = document.pop("rows")
        return document | {"compared": self.compared}


@dataclass(frozen=True)
class InputSet:
    """A named part of the inputs: `sha256` is over the bytes of all `count`, of which `compared` were compared."""

    name: str
    count: int
    sha256: str
    compared: int


@dataclass(frozen=True)
class ProbeCoverage:
    """What the inputs made one layer do.

    Attributes:
        layer: a neuron layer; or an operation that pads its map.
        seen: how often each situation occurred, over all inputs, steps and positions.
        unseen: situations that no input reached, although no proof excludes them.
        unreachable: situations that the proven ranges exclude.
        channels, silent_channels, unreachable_channels: of a neuron layer, how many channels there are, which never
            spiked (at most 32 are listed), and how many cannot spike.
        silent: how many channels never spiked, although no proof excludes it.
    """

    layer: str
    seen: Mapping[str, int]
    unseen: tuple[str, ...]
    unreachable: tuple[str, ...]
    channels: int = 0
    silent: int = 0
    silent_channels: tuple[int, ...] = ()
    unreachable_channels: int = 0


@dataclass(frozen=True)
class Coverage:
    """How much of what the network can do was compared: `seen` of `reachable` situations, and what each layer lacks."""

    reachable: int
    seen: int
    layers: tuple[ProbeCoverage, ...]


@dataclass(frozen=True)
class Certificate:
    """Which forms were compared with the interpreter, on which inputs, and what came of it.

    `accuracy` is the share of the labelled samples that the integer network classifies as their label says; None where
    there are no labels, or not all samples were compared.
    """

    graph_digest: str
    steps: int
    inputs: tuple[InputSet, ...]
    results: tuple[FormResult, ...]
    coverage: Coverage
    accuracy: float | None = None
    tool_version: str = field(default=snn2chip.__version__)

    @property
    def verdict(self) -> str:
        """``DIFFERENT`` if any form differs, else ``NOT RUN`` if any was not run, else ``EXACT``."""
        statuses = {result.status for result in self.results}
        return next((status for status in (DIFFERENT, NOT_RUN) if status in statuses), EXACT)

    @property
    def on_real_inputs(self) -> bool:
        return any(part.name == "samples" for part in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """The content of certificate.json: the same for the same artifact on every machine."""
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "reference": "interpreter",
            "graph_digest": self.graph_digest,
            "steps": self.steps,
            "tool_version": self.tool_version,
            "inputs": [asdict(part) for part in self.inputs],
            "accuracy": self.accuracy,
            "coverage": asdict(self.coverage),
            "results": [result.to_json() for result in self.results],
        }
