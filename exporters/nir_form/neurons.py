"""Neuron layers, integrators and maxima as NIR nodes, which emit 0 or 1; `profiles` says how.

Thresholds lie half way between integers, so that readers who compare with ``>`` and with ``>=`` agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form.builder import Builder, Facts, Value
from snn2chip.exporters.nir_form.geometry import Window, check_size, diagonal
from snn2chip.exporters.nir_form.profiles import Profile, integrate_and_fire, integrator
from snn2chip.graph import Array, Interval
from snn2chip.kernels import DECAY_ONE, FLOAT32_EXACT
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF, SpikingNeuron

#: float32 holds halves exactly up to here; thresholds and fan-out biases are halves.
HALVES_EXACT = FLOAT32_EXACT // 2
#: Roles, in the metadata, of the nodes whose outputs add up to those of the layer that the group is called after.
ROLES_OF_OUTPUT = frozenset({"collect", "neuron", "level", "maximum"})

_READERS_LEAK = "leaves to its readers how a leak is computed, and none of them rounds it to integers"
_ONE = np.array(1.0)
_HALF = np.array(0.5)

#: What of its potential a neuron keeps for the next step: nothing, all, what its spikes do not subtract, or nothing
#: where it has fired.
Memory = Literal["nothing", "all", "subtract", "zero"]


@dataclass(frozen=True)
class Layer:
    """A layer of neurons over `source`, which carries its current; ``thresholds [N, C]`` in units of the potential."""

    name: str
    op: SpikingNeuron
    source: Value
    thresholds: Array
    step_size: Array
    membrane: Interval


class Neurons:
    """Writes the layers of one network; between the steps of an unrolled one it keeps what they keep."""

    def __init__(self, builder: Builder, profile: Profile, steps: int) -> None:
        self.builder = builder
        self.profile = profile
        self.steps = steps
        self.kept: dict[str, list[Value]] = {}

    def layer(self, name: str, source: Value, op: SpikingNeuron, current: Interval) -> Value:
        """A layer of neurons whose current lies in `current`; GraphError where this profile cannot say it."""
        memory = self._memory(op)
        if op.levels > self.profile.most_levels:
            raise GraphError(
                f"it has {op.levels} levels, and profile {self.profile.name} writes a node for each of at most "
                f"{self.profile.most_levels}: use profile portable"
            )
        if (most := int(op.saturation.max())) > HALVES_EXACT:
            raise GraphError(f"it saturates at {most}, beyond the {HALVES_EXACT} up to which float32 holds halves")
        if isinstance(op, LIF):
            facts = {"group": name, "role": "current"}
            source = self._scaled(name, source, op.fraction_bits, op.drive, facts)
        step_size = op.step_size if isinstance(op, LIF) else op.theta
        layer = Layer(name, op, source, _thresholds(op), step_size, op.membrane(current, self.steps))
        if memory == "nothing":
            return self._counted(layer, source)
        if memory == "zero":
            return self._reset_to_zero(layer)
        return self._carried(layer, memory)

    def integrator(self, name: str, source: Value, op: LeakyIntegrator, reach: Interval) -> Value:
        """A fading current that lies in `reach`: in one step, from 0, it is the current in the finer unit."""
        forgets = self.steps == 1 or not op.decay.any()
        if not forgets and (op.decay != DECAY_ONE).any():
            raise self._unsaid(f"it {_READERS_LEAK}")
        if not forgets and not self.profile.memoryless:
            raise self._unsaid(f"nothing in profile {self.profile.name} adds up currents")
        source = self._scaled(name, source, op.fraction_bits, None, {"source": name})
        if forgets:
            return source
        if len(op.decay) != source.shape[0]:
            source = self.builder.columns(source, name)
        return self._accumulated(name, source, reach, {"source": name})

    def maximum(self, name: str, source: Value, counts: Interval, window: Window, kernel: Array) -> Value:
        """The largest count in each window of counts in `counts`; `kernel` is of ones, ``[Kh, Kw]``.

        Of zeros and ones it is one where their sum is above 1/2: an IF that keeps nothing for the next step, for it
        either fires or has got nothing. Larger counts are first spread over one binary channel for each.
        """
        largest = max(1, counts.max)
        if largest == 1:
            return self._any(name, source, window, kernel, {"group": name, "role": "maximum"})
        if self.steps > 1 and not self.profile.memoryless:
            raise self._unsaid(
                f"it takes maxima of counts up to {largest}, which have to be compared with levels, and what compares "
                f"in profile {self.profile.name} keeps its potential",
                "composed",
            )
        channels, part = source.shape[0], {"group": name, "role": "levels"}
        levels = np.broadcast_to(np.arange(1, largest + 1)[:, None], (largest, channels))
        binary = self._ladder(name, source, levels, part, part)
        pooled = self._any(name, binary, window, kernel, part)
        facts = {"group": name, "role": "maximum"}
        return self.builder.conv(name, pooled, _summing(largest, channels), facts=facts)

    def _memory(self, op: SpikingNeuron) -> Memory:
        """What `op` keeps for the next step; GraphError where this profile cannot say that."""
        if self.steps == 1 or (_forgets(op) and self.profile.memoryless):
            return "nothing"
        if self.profile.over_time == "one step":
            raise self._unsaid(f"profile {self.profile.name} is for T = 1 alone")
        if _forgets(op):
            raise self._unsaid(f"what compares in profile {self.profile.name} also remembers", "composed")
        if isinstance(op, MultiLevelIF):
            memory: Memory = "subtract"
        else:
            assert isinstance(op, LIF)
            if reason := _beyond_nir(op):
                raise self._unsaid(reason)
            memory = _KEPT[op.reset]
        if self.profile.over_time == "reset" and memory != "zero":
            lacks = "has no soft reset" if memory == "subtract" else "always resets"
            raise self._unsaid(f"NIR's IF {lacks}", "composed")
        if self.profile.over_time == "edges" and memory == "zero":
            raise self._unsaid("what a reset to zero leaves is no sum of what was there", "portable")
        return memory

    def _unsaid(self, reason: str, better: str = "") -> GraphError:
        mend = f"use profile {better}" if better else "the forms onnx and lava can"
        return GraphError(f"over T = {self.steps} steps NIR cannot say it: {reason}: {mend}")

    def _counted(self, layer: Layer, potential: Value) -> Value:
        """How many thresholds `potential` reaches, compared afresh."""
        single = layer.op.levels == 1 and isinstance(layer.op, LIF)
        if single or layer.op.levels <= self.profile.most_parallel:
            return self._side_by_side(layer, potential)
        if layer.thresholds.shape[1] != potential.shape[0]:  # a flat layer over a view: a threshold for every position
            potential = self.builder.columns(potential, layer.name)
        roles = _group_facts(layer.name, layer.op)
        binary = self._ladder(layer.name, potential, layer.thresholds, roles["fan-out"], roles["spikes"])
        return self.builder.conv(
            layer.name, binary, _summing(layer.op.levels, potential.shape[0]), facts=roles["collect"]
        )

    def _side_by_side(self, layer: Layer, potential: Value) -> Value:
        """A node for each level: ``v > threshold - 1/2`` holds where v reaches the threshold."""
        levels = layer.op.levels
        known = {"group": layer.name, "levels": levels, "reset": _reset(layer.op)}
        theta = layer.op.theta.tolist()
        nodes = []
        for level, threshold in enumerate(layer.thresholds, 1):
            single = {"role": "neuron", "theta": theta}
            facts = {**known, **(single if levels == 1 else {"role": "level", "level": level})}
            label = layer.name if levels == 1 else f"{layer.name}_{level}"
            nodes.append(self._compared(label, potential, threshold - 0.5, facts))
        return nodes[0] if levels == 1 else Value({name: 1 for node in nodes for name in node.terms}, nodes[0].shape)

    def _reset_to_zero(self, layer: Layer) -> Value:
        """One IF for each neuron: what it is reset to is all that NIR's IF can say about a reset."""
        op = layer.op
        threshold = _over(layer.thresholds[0] - 0.5, layer.source)
        facts = {"group": layer.name, "role": "neuron", "levels": 1, "theta": op.theta.tolist(), "reset": _reset(op)}
        ones = np.ones(layer.source.shape[0], np.int64)
        return self.builder.elementwise(layer.name, layer.source, integrate_and_fire, threshold, ones, facts)

    def _carried(self, layer: Layer, memory: Memory) -> Value:
        """Neurons whose potential is a node of its own: ``v = v + i - step_size * spikes of the step before``."""
        name, source = layer.name, layer.source
        if layer.thresholds.shape[1] != source.shape[0]:
            source = self.builder.columns(source, name)
        potential = self._accumulated(name, source, layer.membrane, {"group": name, "role": "potential"})
        counts = self._counted(layer, potential)
        if memory == "subtract":
            self._subtract(layer, counts, potential)
        return counts

    def _accumulated(self, name: str, source: Value, reach: Interval, facts: Facts) -> Value:
        """All that has arrived so far, which lies in `reach`, as one node."""
        bound = np.maximum(-reach.low, reach.high).astype(np.int64)
        if self.profile.over_time == "feedback":
            return self.builder.elementwise(f"{name}_v", source, integrator, _ONE, bound, facts)
        total = self.builder.sum(name, [source, *self.kept.get(name, [])])
        unit = diagonal(total.shape[0], np.ones((1, 1)))
        potential = self.builder.conv(f"{name}_v", total, unit, facts=facts, bound=bound)
        self.kept[name] = [potential]
        return potential

    def _subtract(self, layer: Layer, counts: Value, potential: Value) -> None:
        """What the spikes of this step take from the potential of the next."""
        label, facts = f"{layer.name}_reset", {"group": layer.name, "role": "reset"}
        taken = -layer.step_size.astype(np.float64)
        if self.profile.over_time == "feedback":
            self.builder.feedback(label, counts, taken, potential, facts)
        elif self.builder.step != self.steps - 1:
            weight = diagonal(len(taken), np.ones((1, 1))) * taken[:, None, None, None]
            self.kept[layer.name].append(self.builder.conv(label, counts, weight, facts=facts))

    def _any(self, name: str, source: Value, window: Window, kernel: Array, facts: Facts) -> Value:
        part = {"group": name, "role": "window"}
        weight = diagonal(source.shape[0], kernel)
        summed = self.builder.conv(f"{name}_window", source, weight, window=window, facts=part)
        return self._compared(f"{name}_any", summed, _HALF, facts)

    def _ladder(self, name: str, source: Value, thresholds: Array, fan_out: Facts, spikes: Facts) -> Value:
        """Binary channels ``k*C + c``, 1 where channel c reaches ``thresholds[k, c]``.

        ``v = i + 1.5 - threshold`` exceeds 1 exactly there.
        """
        levels, channels = thresholds.shape
        check_size(levels * channels, channels)
        copies = np.tile(np.eye(channels, dtype=np.float32), (levels, 1))
        bias = (1.5 - thresholds.astype(np.float64)).reshape(-1)
        wide = self.builder.fan_out(f"{name}_levels", source, copies, bias, fan_out)
        return self._compared(f"{name}_spikes", wide, _ONE, spikes)

    def _compared(self, label: str, source: Value, threshold: Array, facts: Facts) -> Value:
        """1 where `source` exceeds `threshold` (a number, or one for each channel or position), else 0."""
        ones = np.ones(source.shape[0], np.int64)
        values = threshold if threshold.ndim == 0 else _over(threshold, source)
        return self.builder.elementwise(label, source, self.profile.comparator, values, ones, facts)

    def _scaled(self, name: str, source: Value, fraction_bits: int, drive: Array | None, facts: Facts) -> Value:
        """A current in a finer unit, and with a drive at every step."""
        if not fraction_bits and (drive is None or not drive.any()):
            return source
        if drive is not None and len(drive) != source.shape[0]:  # a flat layer over a view: a drive for every position
            source = self.builder.columns(source, name)
        weight = diagonal(source.shape[0], np.full((1, 1), 2**fraction_bits))
        return self.builder.conv(f"{name}_current", source, weight, drive, facts=facts)


_KEPT: Mapping[str, Memory] = {"subtract": "subtract", "none": "all", "zero": "zero"}


def _beyond_nir(op: LIF) -> str | None:
    """What of `op` no profile can say over several steps, or None."""
    if op.leaks:
        return f"NIR {_READERS_LEAK}"
    if op.floor is not None:
        return "NIR's IF has no floor under its potential"
    if op.reset != "zero":  # without a leak it is the same whether what is subtracted goes at once or one step later
        return None
    if op.levels > 1:
        return f"NIR's IF emits 0 or 1, and this neuron, which is reset to zero, has {op.levels} levels"
    return "NIR's IF resets at once, and not one step later" if op.delayed else None


def _forgets(op: SpikingNeuron) -> bool:
    """Whether every step starts from a potential of 0."""
    return isinstance(op, LIF) and not op.decay.any() and not op.delayed


def _over(values: Array, source: Value) -> Array:
    """One value for each channel, or for each position of a flat view, to be spread over the map that it views."""
    return values.reshape(source.shape if values.size == np.prod(source.shape) else (-1, 1, 1))


def _thresholds(op: SpikingNeuron) -> Array:
    """``[N, C]``: the potentials at which a neuron emits its first, second, ... spike."""
    step = op.step_size if isinstance(op, LIF) else op.theta
    thresholds: Array = op.theta.astype(np.int64) + np.arange(op.levels)[:, None] * step.astype(np.int64)
    return thresholds


def _summing(levels: int, channels: int) -> Array:
    """The 1x1 kernel ``[C, N*C, 1, 1]`` that counts the levels of each channel."""
    return np.tile(np.eye(channels, dtype=np.float32), (1, levels))[:, :, None, None]


def _group_facts(name: str, op: SpikingNeuron) -> dict[str, dict[str, Any]]:
    """What the metadata say of the three nodes of a layer of levels, by role."""
    facts: dict[str, dict[str, Any]] = {
        role: {"group": name, "role": role, "levels": op.levels} for role in ("fan-out", "spikes", "collect")
    }
    layout = "channel k*C + c is level k+1 of channel c"
    facts["spikes"] |= {"layout": layout, "theta": op.theta.tolist(), "reset": _reset(op)}
    if isinstance(op, LIF):
        facts["spikes"] |= {"step_size": op.step_size.tolist()}
    return facts


def _reset(op: SpikingNeuron) -> str:
    return op.reset if isinstance(op, LIF) else "soft"
