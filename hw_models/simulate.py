"""`simulate`: run a network on real inputs, count what flows, and price it on a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from snn2chip import interpreter
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph
from snn2chip.hw_models import pricing
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.arrangement import FASTEST, check_arrangement, optimised
from snn2chip.hw_models.array import DenseArray
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.detailed.results import DetailedTiming
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.notes import notes_on
from snn2chip.hw_models.placement import Placement, lowered_for, place
from snn2chip.hw_models.qualia import formula
from snn2chip.hw_models.results import Energy, Latency, LayerRow, NetworkReport, Range, with_ranges
from snn2chip.interpreter import Observer
from snn2chip.lowering import Network, to_populations
from snn2chip.ops import SpikingNeuron


class Execute(Protocol):
    """What runs the network: `snn2chip.interpreter.run`, or anything that shows observers the same tensors."""

    def __call__(self, graph: Graph, inputs: Array, observers: Sequence[Observer] = (), batch_size: int = 32) -> Array:
        """Outputs of every step, ``[B, T, classes]``."""


class Model(Protocol):
    """What each model offers once it is built for a network and a chip."""

    def activity(self, samples: int) -> Activity:
        """The observer to run the network with."""

    def layers(self, activity: Activity) -> tuple[LayerRow, ...]:
        """A row per population, the input first."""

    def latency(self, activity: Activity) -> Latency:
        """Steps, and time where the model has any."""


def simulate(
    graph: Graph,
    inputs: Array,
    labels: Array | None,
    chip: Chip,
    label: str = "network",
    execute: Execute = interpreter.run,
    batch_size: int = 32,
    timing: str = "summary",
    arrangement: str = "default",
) -> NetworkReport:
    """Everything that flows through `graph` on `inputs`, placed on `chip` and priced. All figures are means per sample.

    Args:
        graph, label: an integer graph, and what to call it in the report.
        inputs, labels: uint8 ``[B, *shape]`` (shown at every step) or ``[B, T, *shape]``, B > 0; class numbers ``[B]``.
        execute: runs the network and shows observers every tensor.
        timing: ``summary``, or ``detailed`` for every message on the mesh (neurocore chips only; takes longer).
        arrangement: ``default``, ``optimised`` (few hops on these inputs) or ``fastest`` (shorter interval of the two).
    Raises: UserError (GraphError) where inputs do not fit, or the chip cannot carry the spikes or price an action.
    """
    _check_inputs(graph, inputs, labels)
    lowering = lowered_for(graph, chip)
    running, fed = (lowering.graph, lowering.encode(inputs)) if lowering else (graph, inputs)
    network = to_populations(running)
    model, placement = _model(network, chip, arrangement, timing)
    activity = model.activity(len(inputs))
    events = Events(network, len(inputs)) if _is_detailed(chip, timing) else None
    outputs = execute(network.graph, fed, [activity] if events is None else [activity, events], batch_size)
    _check_same(graph, inputs, execute, batch_size, outputs if network.graph is not graph else None)
    model, placement = _arranged(model, placement, arrangement, activity, events)
    layers, (latency, detailed) = model.layers(activity), _latency(model, activity, events)
    return NetworkReport(
        label=label,
        graph_digest=graph.digest,
        chip=chip.summary,
        form="unary" if lowering else "graded",
        steps=graph.steps,
        levels=max((node.op.levels for node in graph.nodes if isinstance(node.op, SpikingNeuron)), default=0),
        samples=len(inputs),
        accuracy=None if labels is None else _accuracy(outputs, labels),
        latency=latency,
        energy=_energy(layers, latency, _static_power(chip, placement)),
        layers=layers,
        totals=pricing.totals(layers, network.depth, graph.steps),
        placement=None if placement is None else placement.document(),
        cores=model.cores(activity) if isinstance(model, Neurocores) else None,
        notes=tuple(notes_on(chip, placement, layers, latency, lowering is not None, detailed)),
        detailed=detailed,
    )


def _check_inputs(graph: Graph, inputs: Array, labels: Array | None) -> None:
    """UserError for what does not fit, before anything is lowered."""
    if not len(inputs):
        raise UserError("there are no samples to simulate: give at least one input")
    if labels is not None and len(labels) != len(inputs):
        raise UserError(f"there are {len(labels)} labels for {len(inputs)} inputs")
    interpreter.as_frames(graph, inputs)


def _is_detailed(chip: Chip, timing: str) -> bool:
    if timing not in ("summary", "detailed"):
        raise UserError(f"timing {timing!r} is unknown: give 'summary' or 'detailed'")
    if timing == "detailed" and chip.model != "neurocore":
        raise UserError(f"chip {chip.name}: detailed timing follows messages between cores, which it has none of")
    return timing == "detailed"


def _latency(model: Model, activity: Activity, events: Events | None) -> tuple[Latency, DetailedTiming | None]:
    """With `events`, the latency of detailed timing, and all that it found."""
    summary = model.latency(activity)
    if events is None or not isinstance(model, Neurocores):
        return summary, None
    from snn2chip.hw_models.detailed import timing  # the compiler takes a second to import

    detailed, *bounds = [timing.report(timing.time(end, events), summary) for end in model.ends]
    latency, *ends = [_as_detailed(summary, each, model.frequency) for each in (detailed, *bounds)]
    return with_ranges(latency, ends), detailed


def _as_detailed(summary: Latency, detailed: DetailedTiming, clock: float) -> Latency:
    return replace(
        summary,
        cycles=detailed.cycles,
        seconds=detailed.cycles / clock,
        interval_cycles=detailed.interval_cycles,
        interval_seconds=detailed.interval_cycles / clock,
    )


def _check_same(graph: Graph, inputs: Array, execute: Execute, batch_size: int, lowered: Array | None) -> None:
    """A lowering that changed the network would price another one."""
    if lowered is not None and not np.array_equal(execute(graph, inputs, (), batch_size), lowered):
        raise GraphError("what the chip would run gives other logits than the network: its figures would be another's")


def _model(network: Network, chip: Chip, arrangement: str, timing: str) -> tuple[Model, Placement | None]:
    check_arrangement(arrangement, timing == "detailed")
    if arrangement != "default" and chip.model != "neurocore":
        raise UserError(f"chip {chip.name}: an optimised placement moves cores, and it has none: use the default one")
    if chip.model == "neurocore":
        placement = place(network, chip)
        return Neurocores(network, chip, placement), placement
    return formula(network, chip) if chip.model == "formula" else DenseArray(network, chip), None


def _arranged(
    model: Model, placement: Placement | None, arrangement: str, activity: Activity, events: Events | None
) -> tuple[Model, Placement | None]:
    """The same cores where the measured messages want them: what was counted on the way does not depend on places."""
    if placement is None or arrangement == "default":
        return model, placement
    if arrangement == FASTEST and events is not None:
        from snn2chip.hw_models.fastest import fastest  # the compiler takes a second to import

        placement = fastest(placement, activity, events)
    else:
        placement = optimised(placement, {name: tally.events for name, tally in activity.tallies.items()})
    return Neurocores(placement.network, placement.chip, placement), placement


def _accuracy(outputs: Array, labels: Array) -> float:
    logits = outputs.sum(axis=1, dtype=np.int64)
    return float((logits.argmax(axis=1) == labels).mean())


def _static_power(chip: Chip, placement: Placement | None) -> Range | None:
    """Watts of the chips in use; None where the file gives none."""
    if "power.static" not in chip.numbers:
        return None
    return chip.numbers["power.static"].range.times(placement.chips if placement else 1)


def _energy(layers: tuple[LayerRow, ...], latency: Latency, power: Range | None) -> Energy:
    dynamic = pricing.energy(row for layer in layers for row in layer.actions)
    seconds = latency.seconds_range
    static = None if power is None or seconds is None else power.by(seconds)
    return Energy(dynamic, static, dynamic if static is None else dynamic + static, power)
