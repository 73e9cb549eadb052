"""Counts times prices: what every model does once it has counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.results import NOTHING, ActionRow, LayerRow, MemoryRow, Range, total


def priced(chip: Chip, layer: str, counts: Mapping[str, float], growing: Mapping[str, float]) -> tuple[ActionRow, ...]:
    """A row per action that was performed. Raises UserError naming an action that the chip file does not mention.

    `growing` says how many of an action grow with the events of the network's layers: 0 where it does not mention it.
    """
    return tuple(
        _row(chip, layer, action, float(count), growing.get(action, 0.0))
        for action, count in counts.items()
        if count > 0
    )


def _row(chip: Chip, layer: str, action: str, count: float, growing: float) -> ActionRow:
    price = chip.price(action, layer)
    if price.quantity is None:
        return ActionRow(action, count, NOTHING, price.included_in, price.absent, NOTHING)
    each = price.quantity.range
    return ActionRow(action, count, each.times(count), growing=each.times(growing))


def energy(actions: Iterable[ActionRow]) -> Range:
    return total(row.energy for row in actions)


def of_memory(memory: str, actions: Iterable[ActionRow]) -> tuple[Range | None, Range | None]:
    """What reading and writing a memory costs, and what of it grows; None where no action of it has its own price."""
    own = [row for row in actions if row.action in (f"{memory}_read", f"{memory}_write")]
    priced_apart = [row for row in own if row.included_in is None and row.absent is None]
    if not priced_apart:
        return None, None
    return total(row.energy for row in priced_apart), total(row.growing or NOTHING for row in priced_apart)


def spread(chip: Chip, layer: str, counts: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Joules ``[3, cores]`` (low, nominal, high) of what each core of a layer did, from ``[cores]`` counts."""
    spent = np.zeros((3, len(next(iter(counts.values())))))
    for action, each in counts.items():
        if each.any() and (quantity := chip.price(action, layer).quantity) is not None:
            price = quantity.range
            spent += np.outer((price.low, price.nominal, price.high), each)
    return spent


def merge_actions(rows: Iterable[ActionRow]) -> tuple[ActionRow, ...]:
    """One row per action, in order of first appearance."""
    merged: dict[str, ActionRow] = {}
    for row in rows:
        known = merged.get(row.action)
        count, spent = (known.count, known.energy) if known else (0.0, NOTHING)
        growing = _either(known.growing if known else None, row.growing)
        merged[row.action] = replace(row, count=count + row.count, energy=spent + row.energy, growing=growing)
    return tuple(merged.values())


def merge_memories(rows: Iterable[MemoryRow]) -> tuple[MemoryRow, ...]:
    """One row per memory and word width, in order of first appearance."""
    merged: dict[tuple[str, int], MemoryRow] = {}
    for row in rows:
        key = (row.memory, row.word_bits)
        if known := merged.get(key):
            reads, writes = known.reads + row.reads, known.writes + row.writes
            spent, growing = _either(known.energy, row.energy), _either(known.growing, row.growing)
            row = replace(row, reads=reads, writes=writes, energy=spent, growing=growing)
        merged[key] = row
    return tuple(merged.values())


def _either(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def totals(layers: tuple[LayerRow, ...], depth: int, steps: int) -> LayerRow:
    """The sum over layers. `activity` is taken over the neurons of all but the readout, silent ones too."""
    cores = _sum(layer.cores for layer in layers)
    sending = sum(layer.neurons for layer in layers[:-1])
    events = math.fsum(layer.events_out for layer in layers)
    internal = math.fsum(layer.events_out for layer in layers if layer.neurons)
    return LayerRow(
        name="total",
        operation="",
        neurons=sum(layer.neurons for layer in layers),
        cores=None if cores is None else int(cores),
        depth=depth,
        weights=sum(layer.weights for layer in layers),
        events_in=math.fsum(layer.events_in for layer in layers),
        events_out=events,
        spikes_out=math.fsum(layer.spikes_out for layer in layers),
        activity=internal / (sending * steps) if sending else 0.0,
        synaptic_operations=math.fsum(layer.synaptic_operations for layer in layers),
        effective_operations=math.fsum(layer.effective_operations for layer in layers),
        unary_operations=math.fsum(layer.unary_operations for layer in layers),
        neuron_updates=math.fsum(layer.neuron_updates for layer in layers),
        payload_bits=math.fsum(layer.payload_bits for layer in layers),
        messages=_sum(layer.messages for layer in layers),
        hops=_sum(layer.hops for layer in layers),
        cycles=None,
        energy=total(layer.energy for layer in layers),
        actions=merge_actions(row for layer in layers for row in layer.actions),
        memories=merge_memories(row for layer in layers for row in layer.memories),
    )
