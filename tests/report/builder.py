"""Reports made by hand, small enough to check by hand: every energy is a count times a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from snn2chip.hw_models.results import (
    NOTHING,
    ActionRow,
    ChipSummary,
    Energy,
    Latency,
    LayerRow,
    MemoryRow,
    NetworkReport,
    Range,
    SourcedPrice,
    exact,
    total,
)
from snn2chip.report import EnergyReport

PJ = 1e-12
LOIHI2 = {
    "synaptic_operation": Range(6.0 * PJ, 23.6 * PJ, 35.5 * PJ),
    "neuron_update": Range(21.6 * PJ, 52.0 * PJ, 81.0 * PJ),
    "spike_message": Range(1.7 * PJ, 69.3 * PJ, 111.0 * PJ),
    "mesh_hop": Range(3.0 * PJ, 3.5 * PJ, 4.0 * PJ),
}
STATIC = Range(0.05, 0.104, 0.2)
DENSE = {"multiply_accumulate": Range(0.2 * PJ, 0.23 * PJ, 0.6 * PJ), "memory_access": Range(5 * PJ, 10 * PJ, 20 * PJ)}
SHAPES = (
    ("stem", "Conv2d + MultiLevelIF", 1024, 9 * 16),
    ("block1.conv1", "Conv2d + MultiLevelIF", 1024, 9 * 16),
    ("block1.conv2", "Conv2d + MultiLevelIF", 1024, 9 * 16),
    ("block1.barrier", "Add + MultiLevelIF", 1024, 2),
    ("block2.conv1", "Conv2d + MultiLevelIF", 512, 9 * 32),
    ("block2.shortcut", "Conv2d + MultiLevelIF", 512, 32),
    ("block2.barrier", "Add + MultiLevelIF", 512, 2),
    ("pool", "SumPool2d", 32, 1),
    ("head", "Linear + Readout", 10, 10),
)


def layer(
    name: str, operation: str, neurons: int, fan_out: int, events: float, prices: Mapping[str, Range]
) -> LayerRow:
    """A layer whose energy is that of its `actions`, each counted from `events`."""
    operations = events * fan_out
    counts = dict(zip(prices, (operations, float(neurons), events, 3 * events), strict=False))
    actions = tuple(ActionRow(action, counts[action], price.times(counts[action])) for action, price in prices.items())
    return LayerRow(
        name=name,
        operation=operation,
        neurons=neurons,
        cores=2,
        depth=1,
        weights=neurons * 9,
        events_in=events,
        events_out=0.8 * events,
        spikes_out=1.4 * events,
        activity=0.8 * events / neurons,
        synaptic_operations=operations,
        effective_operations=0.97 * operations,
        unary_operations=1.7 * operations,
        neuron_updates=float(neurons),
        payload_bits=2 * events,
        messages=events,
        hops=3 * events,
        cycles=operations / 4,
        energy=total(row.energy for row in actions),
        actions=actions,
        memories=(
            MemoryRow("synapses", 64, operations / 4, 0.0, None),
            MemoryRow("state", 32, 2.0 * neurons, 2.0 * neurons, None),
        ),
    )


def summed(layers: tuple[LayerRow, ...]) -> LayerRow:
    """The sums over the layers of everything that the report shows from the totals."""
    first = layers[-1]
    energy = [total(row.actions[place].energy for row in layers) for place in range(len(first.actions))]
    actions = tuple(
        ActionRow(row.action, sum(item.actions[place].count for item in layers), energy[place])
        for place, row in enumerate(first.actions)
    )
    memories = tuple(
        MemoryRow(
            row.memory,
            row.word_bits,
            sum(item.memories[place].reads for item in layers),
            sum(item.memories[place].writes for item in layers),
            None,
        )
        for place, row in enumerate(first.memories)
    )
    names = (
        "events_in",
        "events_out",
        "spikes_out",
        "synaptic_operations",
        "effective_operations",
        "unary_operations",
        "neuron_updates",
        "payload_bits",
        "messages",
        "hops",
        "cycles",
    )
    sums = {name: sum(getattr(item, name) for item in layers) for name in names}
    return replace(first, name="total", operation="", energy=total(energy), actions=actions, memories=memories, **sums)


def chip(name: str, scenario: str | None, prices: Mapping[str, Range]) -> ChipSummary:
    """A chip with one sourced number per price."""
    numbers = tuple(
        SourcedPrice(
            f"prices.{action}",
            f"{price.nominal / PJ:.3g} ({price.low / PJ:.3g} to {price.high / PJ:.3g}) pJ",
            "published-simulated" if index else "assumed",
            "Davies et al., IEEE Micro 38(1), 2018, table 2",
        )
        for index, (action, price) in enumerate(prices.items())
    )
    return ChipSummary(name, f"{name}, as published", "neurocore", scenario, digest(name), numbers)


def digest(text: str) -> str:
    """64 hexadecimal digits that differ from text to text."""
    return text.encode().hex().ljust(64, "0")[:64]


def network(
    label: str,
    scale: float = 1.0,
    *,
    accuracy: float | None = 0.9911,
    steps: int = 1,
    levels: int = 4,
    chip_name: str = "loihi2",
    scenario: str | None = "the prices of Loihi 1",
    prices: Mapping[str, Range] = LOIHI2,
    static_power: Range | None = None,
) -> NetworkReport:
    """The digits-sized network of `SHAPES` with `scale` times the events of the plain one."""
    layers = tuple(
        layer(name, operation, neurons, fan_out, scale * 0.2 * neurons * steps, prices)
        for name, operation, neurons, fan_out in SHAPES
    )
    totals = summed(layers)
    seconds = 5e-6 * (steps + 7)
    static = None if static_power is None else static_power.times(seconds)
    return NetworkReport(
        label=label,
        graph_digest=digest(label),
        chip=chip(chip_name, scenario, prices),
        form="graded",
        steps=steps,
        levels=levels,
        samples=450,
        accuracy=accuracy,
        latency=Latency(
            steps + 7, totals.cycles, seconds, steps, 900.0, 5e-6 * steps, exact(seconds), exact(5e-6 * steps)
        ),
        energy=Energy(totals.energy, static, totals.energy + (static or NOTHING), static_power),
        layers=layers,
        totals=totals,
        placement={"fits": True, "cores": 18},
        cores=None,
        notes=("Energies rest on assumed prices.",),
    )


def priced(
    label: str, counts: Mapping[str, int], prices: Mapping[str, Range], chip_name: str = "loihi2"
) -> NetworkReport:
    """A network of which nothing matters but how often it performs each action."""
    report = network(label, chip_name=chip_name)
    actions = tuple(ActionRow(name, number, prices[name].times(number)) for name, number in counts.items())
    dynamic = total(row.energy for row in actions)
    totals = replace(report.totals, actions=actions, energy=dynamic)
    return replace(report, totals=totals, energy=Energy(dynamic, None, dynamic, None))


def without_time(report: NetworkReport) -> NetworkReport:
    """The same network on a model that has neither cores nor time."""
    layers = tuple(replace(row, cores=None, messages=None, hops=None, cycles=None) for row in report.layers)
    return replace(
        report,
        layers=layers,
        totals=replace(report.totals, cores=None, messages=None, hops=None, cycles=None),
        latency=Latency(report.latency.steps, None, None, report.latency.interval_steps, None, None),
        placement=None,
    )


def on_array(report: NetworkReport, products: float) -> NetworkReport:
    """The same network on an array that multiplies `products` times, all of them for its first layer."""
    done = ActionRow("multiply", products, NOTHING)
    first = replace(report.layers[0], actions=(done,))
    rest = tuple(replace(row, actions=()) for row in report.layers[1:])
    return replace(
        report,
        chip=replace(report.chip, model="array"),
        layers=(first, *rest),
        totals=replace(report.totals, actions=(done,)),
    )


def full_report(static_power: Range | None = STATIC) -> EnergyReport:
    """One's own network and the five baselines that `snn2chip simulate` puts beside it."""
    return EnergyReport(
        (
            network("sparse N=4 T=1", static_power=static_power),
            network("binary N=1 T=4", 0.6, steps=4, levels=1, accuracy=0.9867, static_power=static_power),
            network("binary N=1 T=1", 0.7, levels=1, accuracy=0.9689, static_power=static_power),
            network("SEW N=4 T=1", 0.9, accuracy=0.9889, static_power=static_power),
            without_time(
                network(
                    "quantized ANN, 3 bits",
                    3.0,
                    levels=7,
                    accuracy=0.9933,
                    chip_name="dense-45nm",
                    scenario=None,
                    prices=DENSE,
                )
            ),
            without_time(
                network(
                    "quantized ANN, 3 bits",
                    1.4,
                    levels=7,
                    accuracy=0.9933,
                    scenario=None,
                    chip_name="dense-45nm-zero-skipping",
                    prices=DENSE,
                )
            ),
        ),
        notes=("Inputs: 450 test images of scikit-learn's digits.",),
    )
