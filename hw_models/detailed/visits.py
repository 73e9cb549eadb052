"""What a core does in its own steps beside taking in: visiting its neurons, and writing what they send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn2chip.graph import Array
from snn2chip.hw_models.activity import reach
from snn2chip.hw_models.detailed.axons import Arm, copies_of
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.detailed.kernel import Ints
from snn2chip.hw_models.detailed.topology import picoseconds
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import Slot
from snn2chip.lowering import Role


@dataclass(frozen=True)
class Visits:
    """Picoseconds per core and own step: int64 ``[samples * T]`` each."""

    cores: Neurocores
    events: Events

    def time(self, action: str, layer: str) -> int:
        return picoseconds(self.cores.cycles(action, layer) / self.cores.frequency)

    def idle(self, slot: Slot) -> int:
        """A step in which the core's population waits for its turn."""
        if not self.cores.visits_idle:
            return 0
        return len(self._inside(slot)) * self.time("neuron_update_inactive", slot.population)

    def updating(self, slot: Slot) -> Ints:
        population = self.cores.network[slot.population]
        inside = self._inside(slot)
        extra = self.cores.active_cycles(population) / self.cores.frequency
        per_channel = np.array([picoseconds(seconds) for seconds in extra], np.int64)
        per_neuron = per_channel.repeat(population.signal.size // len(extra))[inside]
        visits = len(inside) * self.time("neuron_update_inactive", population.name)
        if population.awake.all():
            return np.full(len(self.events.fired), visits + per_neuron.sum(), np.int64)
        return visits + self._active[population.name][:, inside].astype(np.int64) @ per_neuron

    def sending(self, slot: Slot, arms: Sequence[Arm]) -> Ints:
        if slot.population not in self.events.offsets:
            return np.zeros(len(self.events.fired), np.int64)
        inside = self._inside(slot)
        costs = np.full(len(inside), self.time("spike_out", slot.population), np.int64)
        if arms:
            costs += self.time("message", slot.population) * copies_of(arms)[inside]
        return self.events.of(slot.population)[:, inside].astype(np.int64) @ costs

    def _inside(self, slot: Slot) -> Array:
        return np.flatnonzero(slot.region.mask(self.cores.network[slot.population].shape))

    @cached_property
    def _active(self) -> dict[str, Array]:
        """Which neurons had an active update: bool ``[samples * T, neurons]``, where they are not all awake."""
        found = {}
        for population in self.cores.network.populations:
            if population.role is Role.INPUT or population.awake.all():
                continue
            active = np.zeros((len(self.events.fired), *population.shape), dtype=bool)
            active[:, population.awake] = True
            for projection in population.projections:
                mask = self.events.of(projection.source).reshape(-1, *projection.view)
                active |= reach(projection, mask.astype(np.float32)) > 0
            flat = active.reshape(len(active), -1)
            if population.name in self.events.offsets:
                flat |= self.events.of(population.name) > 0
            found[population.name] = flat
        return found
