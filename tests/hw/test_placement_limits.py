"""What a core holds, added up neuron by neuron and synapse by synapse: no limit is exceeded that is not named."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snn2chip.graph import Shape
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.needs import LIMITS
from snn2chip.hw_models.placement import Placement, Slot, place
from snn2chip.lowering import Projection
from snn2chip.ops import Add, Conv2d, Linear, MaxPool2d, SumPool2d, Upsample2d
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.test_conservation import population_network

Neuron = tuple[int, ...]


def neurons(shape: Shape, slot: Slot) -> list[Neuron]:
    rows = [slot.region.rows, range(shape[2])] if len(shape) == 3 else []
    return [*product(slot.region.channels, *rows)]


def sources(projection: Projection, target: Neuron) -> Iterator[Neuron]:
    """The source neuron of every synapse of the neuron `target`; borders have none."""
    op = projection.op
    if isinstance(op, Add):  # onto the same place, or onto one feature per place
        yield target if len(target) == len(projection.shape) else unflattened(target[0], projection.shape)
    elif isinstance(op, Upsample2d):
        yield target[0], target[1] // op.factor[0], target[2] // op.factor[1]
    elif isinstance(op, Linear):
        for feature in range(op.weight.shape[1]):
            yield unflattened(feature, projection.shape)
    else:
        yield from in_window(projection, op, target)


def unflattened(feature: int, shape: Shape) -> Neuron:
    return tuple(int(index) for index in np.unravel_index(feature, shape))


def in_window(projection: Projection, op: Conv2d | MaxPool2d | SumPool2d, target: Neuron) -> Iterator[Neuron]:
    channels, dilation = range(target[0], target[0] + 1), (1, 1)
    if isinstance(op, Conv2d):
        inputs, dilation = op.weight.shape[1], op.dilation
        first = target[0] // (op.outputs // op.groups) * inputs
        channels = range(first, first + inputs)
    for channel, ky, kx in product(channels, range(op.kernel[0]), range(op.kernel[1])):
        y = target[1] * op.stride[0] + ky * dilation[0] - op.padding[0]
        x = target[2] * op.stride[1] + kx * dilation[1] - op.padding[1]
        if 0 <= y < projection.shape[1] and 0 <= x < projection.shape[2]:
            yield channel, y, x


def stored_weights(projection: Projection, slot: Slot, held: list[Neuron], shared: bool) -> int:
    op = projection.op
    if not isinstance(op, (Conv2d, Linear)):
        return 0
    if shared:
        return sum(op.weight[channel].size for channel in slot.region.channels)
    return sum(1 for neuron in held for _ in sources(projection, neuron))


def by_hand(placement: Placement) -> list[dict[str, int]]:
    """What every core holds, in the order of their numbers."""
    network, shared = placement.network, placement.chip.choices["weight_sharing"] == "shared"
    found: list[dict[str, int]] = []
    home: dict[tuple[str, Neuron], int] = {}
    sent: set[tuple[int, str, Neuron, int, int]] = set()  # from core, population, neuron, by which projection, to core
    for name, slots in placement.slots.items():
        population = network[name]
        for slot in slots:
            held = neurons(population.shape, slot)
            home.update({(name, neuron): slot.index for neuron in held})
            core = dict.fromkeys(LIMITS, 0)
            core["neurons_per_core"] = len(held)
            core["state_bits_per_core"] = len(held) * (population.state_bits + population.current_bits)
            for which, projection in enumerate(population.projections):
                reaching = {source for neuron in held for source in sources(projection, neuron)}
                core["axons_in_per_core"] += len(reaching)
                weights = stored_weights(projection, slot, held, shared)
                core["synapse_bits_per_core"] += weights * projection.weight_bits
                width = 1 + network[projection.source].payload_bits
                core["delay_bits_per_core"] += projection.delay * width * len(reaching)
                for source in reaching:
                    if (projection.source, source) in home:
                        sent.add((home[projection.source, source], projection.source, source, which, slot.index))
            memories = ("synapse_bits_per_core", "state_bits_per_core", "delay_bits_per_core")
            core["memory_bits_per_core"] = sum(core[memory] for memory in memories)
            found.append(core)
    for core_number, *_ in sent:
        found[core_number]["axons_out_per_core"] += 1
    return found


@st.composite
def tight_chips(draw: st.DrawFn) -> str:
    """The text of a chip with some of all limits."""
    lines = ['name = "tight"', 'title = "tight"', 'inherits = "unit"']
    lines.append(f'choices.weight_sharing = "{draw(st.sampled_from(["shared", "expanded"]))}"')
    for limit, key in LIMITS.items():
        section, bits = key.split(".")[0], limit not in ("neurons_per_core", "axons_in_per_core", "axons_out_per_core")
        have = draw(st.integers(*((60, 4000) if bits else (2, 60))))
        unit = "bit" if section == "capacity" else "1"
        lines.append(f'{key} = {{ value = {have}, unit = "{unit}", kind = "assumed", source = "unit" }}')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tight")


def read(folder: Path, text: str) -> Chip:
    path = folder / "tight.toml"
    path.write_text(text, encoding="utf-8")
    return load_chip(path)


@settings(max_examples=60)
@given(cases(max_steps=2, max_batch=1, **EVERYTHING), tight_chips())
def test_cores_hold_what_neurons_and_synapses_add_up_to(folder: Path, case: Case, text: str) -> None:
    network, chip = population_network(case), read(folder, text)
    assume(sum(population.neurons for population in network.populations) <= 600)
    placement = place(network, chip)
    document, held = placement.document()["map"], by_hand(placement)
    named = {(found.layer, found.limit) for found in placement.broken}
    for limit, have in document["have"].items():
        counted = [core[limit] for core in held]
        assert document["need"][limit] == counted, limit
        for layer, need in zip(document["layer"], counted, strict=True):
            assert need <= have or (layer, limit) in named
    for name, limit in named:  # what is named is exceeded indeed
        assert (
            max(core[limit] for core, layer in zip(held, document["layer"], strict=True) if layer == name)
            > (document["have"][limit])
        )
