"""Post-training quantization: choose bits and units, correct what rounding shifts, round.

Each stage is a pass from `State` to `State`; fine-tuning is one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph
from snn2chip.quantize.branches import Approximation
from snn2chip.quantize.choices import Choices, Precision
from snn2chip.quantize.constants import coarse_constants
from snn2chip.quantize.correction import CORRECTIONS, correct
from snn2chip.quantize.integer import Rounding, prepare
from snn2chip.quantize.mixed import assign_bits
from snn2chip.quantize.rows import collect
from snn2chip.quantize.scales import METHODS, Method, choose_units

Report = Callable[[str], None]


def quiet(line: str) -> None:
    """The default of every `report` argument."""


@dataclass(frozen=True)
class PostTraining:
    """How to quantize a trained network.

    Attributes:
        precision: weight bits, and those of layers that differ.
        average_bits: where given, bits of all layers that `precision` does not name are assigned by measured error, so
            many per weight on average.
        scale: how the unit of every output channel is chosen, see `snn2chip.quantize.scales.choose_units`.
        percentile: of the weights' magnitudes, for the scale of that name.
        corrections: any of ``bias`` and ``threshold``.
        shift_thresholds: make thresholds powers of two; they are not corrected then.
    Raises: UserError where a value is unknown or out of range.
    """

    precision: Precision = field(default_factory=Precision)
    average_bits: float | None = None
    scale: Method = "error"
    percentile: float = 99.9
    corrections: tuple[str, ...] = CORRECTIONS
    shift_thresholds: bool = False

    def __post_init__(self) -> None:
        if self.scale not in METHODS:
            raise UserError(f"--scale {self.scale}: this is unknown: choose one of {', '.join(METHODS)}")
        if unknown := sorted(set(self.corrections) - set(CORRECTIONS)):
            raise UserError(f"--correct {unknown[0]}: this is unknown: choose of {', '.join(CORRECTIONS)}, or none")
        if not 50 <= self.percentile <= 100:
            raise UserError(f"--percentile {self.percentile:g}: it must lie in 50..100")
        if self.shift_thresholds and "threshold" in self.corrections:
            raise UserError(
                "--shift-thresholds: thresholds that are shifts cannot be corrected: leave threshold out of --correct"
            )

    @property
    def needs_inputs(self) -> bool:
        """Whether calibration inputs are needed."""
        return self.scale == "error" or bool(self.corrections) or self.average_bits is not None


@dataclass(frozen=True)
class State:
    """A network on its way to integers.

    Attributes:
        reference: the prepared float graph that is to be followed.
        network: the float graph that will be rounded: `reference` with what passes have changed.
        precision, choices: what passes have chosen.
        approximations: what `snn2chip.quantize.integer.prepare` had to change.
    """

    reference: Graph
    network: Graph
    precision: Precision
    choices: Choices
    approximations: tuple[Approximation, ...] = ()

    @property
    def rounding(self) -> Rounding:
        return Rounding(self.network, self.precision, self.choices)


Pass = Callable[[State], State]


def start(graph: Graph, settings: PostTraining) -> State:
    """The state of a captured float graph before any pass."""
    prepared = prepare(graph)
    choices = Choices(shift_thresholds=settings.shift_thresholds)
    return State(prepared.graph, prepared.graph, settings.precision, choices, prepared.approximations)


def passes(settings: PostTraining, inputs: Array | None, report: Report = quiet) -> list[Pass]:
    """What post-training quantization does, in order.

    Args: inputs, calibration inputs, uint8 as for `snn2chip.interpreter.run`; report, called with one line a stage.
    Raises: UserError where inputs are needed and there are none.
    """
    if settings.needs_inputs and (inputs is None or not len(inputs)):
        raise UserError(
            "calibration needs inputs: give some with --calibration X.npz, or choose --scale mse --correct none"
        )
    chosen: list[Pass] = []
    if settings.average_bits is not None and inputs is not None:
        chosen.append(_bits_pass(settings.average_bits, inputs, report))
    chosen.append(_units_pass(settings, inputs, report))
    if settings.corrections and inputs is not None:
        chosen.append(_correction_pass(settings.corrections, inputs, report))
    return chosen


def _bits_pass(average: float, inputs: Array, report: Report) -> Pass:
    def assign(state: State) -> State:
        report("assigning bits")
        rounding = state.rounding
        return replace(state, precision=assign_bits(rounding, collect(rounding, inputs), average))

    return assign


def _units_pass(settings: PostTraining, inputs: Array | None, report: Report) -> Pass:
    def choose(state: State) -> State:
        report(f"choosing scales by {settings.scale}")
        rounding = state.rounding
        rows = collect(rounding, inputs) if settings.scale == "error" and inputs is not None else None
        return replace(state, choices=choose_units(rounding, settings.scale, rows, settings.percentile))

    return choose


def _correction_pass(corrections: Iterable[str], inputs: Array, report: Report) -> Pass:
    def run(state: State) -> State:
        network = correct(state.rounding, state.reference, inputs, tuple(corrections), report)
        return replace(state, network=network)

    return run


@dataclass(frozen=True)
class Quantized:
    """An integer graph, and how it came about.

    Attributes:
        graph: the integer graph.
        state: after the last pass.
        rounding: that made the graph; it knows every unit.
    """

    graph: Graph
    state: State
    rounding: Rounding

    @property
    def approximations(self) -> tuple[Approximation, ...]:
        """Numbers of the network that integers could not say, or only coarsely."""
        return (*self.state.approximations, *coarse_constants(self.rounding, self.state.reference))


def post_training(
    graph: Graph, settings: PostTraining, inputs: Array | None = None, report: Report = quiet
) -> Quantized:
    """Quantize a captured float graph; arguments as of `start` and `passes`, errors as of these and `quantize`."""
    return finish(start(graph, settings), passes(settings, inputs, report), report)


def plain(graph: Graph, precision: Precision) -> Quantized:
    """`snn2chip.quantize.quantize`, and how it came about: no pass, only rounding."""
    return finish(start(graph, PostTraining(precision, scale="max", corrections=())), ())


def finish(state: State, stages: Iterable[Pass], report: Report = quiet) -> Quantized:
    """Run `stages` on `state`, and round what they leave."""
    for stage in stages:
        state = stage(state)
    report("rounding")
    rounding = state.rounding
    return Quantized(rounding.graph(), state, rounding)
