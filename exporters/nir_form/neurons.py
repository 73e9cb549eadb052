"""Neuron layers and maxima as NIR's ``IF``, which emits 0 or 1 and resets to a value.

Thresholds lie half way between integers, so that readers who compare with ``>`` and with ``>=`` agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form.builder import Builder, Value
from snn2chip.exporters.nir_form.geometry import Window, check_size, diagonal
from snn2chip.graph import Array, Interval
from snn2chip.kernels import FLOAT32_EXACT
from snn2chip.ops import LIF, MultiLevelIF, SpikingNeuron

#: float32 holds halves exactly up to here; thresholds and fan-out biases are halves.
HALVES_EXACT = FLOAT32_EXACT // 2
#: Roles, in the metadata, of the node whose output is what the group is called after.
ROLES_OF_OUTPUT = frozenset({"collect", "neuron", "maximum"})

_READERS_LEAK = "leaves to its readers how a leak is computed, and none of them rounds it to integers"


def layer(builder: Builder, name: str, source: Value, op: SpikingNeuron, steps: int) -> Value:
    """A layer of neurons; GraphError where NIR cannot say it over so many steps.

    In one step, from a potential of 0, neither leak nor reset plays a part.
    """
    if isinstance(op, LIF):
        if steps > 1 and (reason := _beyond_nir(op)):
            raise GraphError(
                f"over T = {steps} steps NIR cannot say it: {reason}. Neurons of one level without a leak, reset to "
                "zero at once, can be written; with T = 1 every neuron"
            )
        source = _scaled(builder, name, source, op.fraction_bits, op.drive, {"group": name, "role": "current"})
        return _plain(builder, name, source, op) if op.levels == 1 else _of_levels(builder, name, source, op)
    if steps > 1:
        raise GraphError(
            f"over T = {steps} steps NIR cannot say it: NIR's IF resets to a value and has no soft reset, so that it "
            "cannot express what a neuron keeps for the next step. With T = 1 it can be written"
        )
    return _of_levels(builder, name, source, op)


def _beyond_nir(op: LIF) -> str | None:
    """What of `op` NIR's IF does not have, or None."""
    if op.levels > 1:
        return f"NIR's IF emits 0 or 1, and this neuron has {op.levels} levels"
    if op.leaks:
        return f"NIR {_READERS_LEAK}"
    if op.reset == "subtract":
        return "NIR's IF resets to a value and has no soft reset"
    if op.reset == "none":
        return "NIR's IF always resets"
    if op.delayed:
        return "NIR's IF resets at once, and not one step later"
    return None if op.floor is None else "NIR's IF has no floor under its potential"


def fade(builder: Builder, name: str, source: Value, fraction_bits: int, steps: int) -> Value:
    """A fading current: in one step, from 0, it is the current in the finer unit."""
    if steps > 1:
        raise GraphError(f"over T = {steps} steps NIR cannot say it: it {_READERS_LEAK}. With T = 1 it can be written")
    return _scaled(builder, name, source, fraction_bits, None, {"source": name})


def maximum(
    builder: Builder, name: str, source: Value, interval: Interval, window: Window, kernel: Array, steps: int
) -> Value:
    """The largest count in each window of counts in `interval`; `kernel` is of ones, ``[Kh, Kw]``.

    Of zeros and ones it is one where their sum is: an IF whose threshold is 1/2, and which keeps nothing for the next
    step, for it either fires or has got nothing. Larger counts are first spread over one binary channel for each.
    """
    largest = max(1, interval.max)
    if largest == 1:
        return _any(builder, name, source, window, kernel, {"group": name, "role": "maximum"})
    if steps > 1:
        raise GraphError(
            f"over T = {steps} steps NIR cannot say it: it takes maxima of counts up to {largest}, which have to be "
            "compared with levels, and what compares in NIR, IF, keeps its potential. Maxima of binary spikes can be "
            "written; with T = 1 all maxima"
        )
    channels, part = source.shape[0], {"group": name, "role": "levels"}
    levels = np.broadcast_to(np.arange(1, largest + 1)[:, None], (largest, channels))
    binary = _ladder(builder, name, source, levels, part, part)
    pooled = _any(builder, name, binary, window, kernel, part)
    return builder.conv(name, pooled, _summing(largest, channels), facts={"group": name, "role": "maximum"})


def _any(builder: Builder, name: str, source: Value, window: Window, kernel: Array, facts: Mapping[str, Any]) -> Value:
    weight = diagonal(source.shape[0], kernel)
    part = {"group": name, "role": "window"}
    summed = builder.conv(f"{name}_window", source, weight, window=window, facts=part)
    return builder.spikes(f"{name}_any", summed, facts, threshold=np.array(0.5))


def _scaled(
    builder: Builder, name: str, source: Value, fraction_bits: int, drive: Array | None, facts: Mapping[str, Any]
) -> Value:
    """A current in a finer unit, and with a drive at every step."""
    if not fraction_bits and (drive is None or not drive.any()):
        return source
    if drive is not None and len(drive) != source.shape[0]:  # a flat layer over a view: a drive for every position
        source = builder.columns(source, name)
    weight = diagonal(source.shape[0], np.full((1, 1), 2**fraction_bits))
    return builder.conv(f"{name}_current", source, weight, drive, facts=facts)


def _plain(builder: Builder, name: str, source: Value, op: LIF) -> Value:
    """One IF for each neuron: ``v > theta - 1/2`` holds where ``v >= theta``."""
    threshold = op.theta.astype(np.float64) - 0.5
    positions = source.shape if threshold.size == np.prod(source.shape) else (-1, 1, 1)
    facts = {"group": name, "role": "neuron", "levels": 1, "theta": op.theta.tolist(), "reset": op.reset}
    return builder.spikes(name, source, facts, threshold.reshape(positions))


def _of_levels(builder: Builder, name: str, source: Value, op: SpikingNeuron) -> Value:
    if len(op.theta) != source.shape[0]:  # a flat layer over a view: one threshold for every position
        source = builder.columns(source, name)
    if (most := int(op.saturation.max())) > HALVES_EXACT:
        raise GraphError(f"it saturates at {most}, beyond the {HALVES_EXACT} up to which float32 holds halves")
    roles = _group_facts(name, op)
    binary = _ladder(builder, name, source, _thresholds(op), roles["fan-out"], roles["spikes"])
    return builder.conv(name, binary, _summing(op.levels, source.shape[0]), facts=roles["collect"])


def _thresholds(op: SpikingNeuron) -> Array:
    """``[N, C]``: the potentials at which a neuron emits its first, second, ... spike."""
    step = op.step_size if isinstance(op, LIF) else op.theta
    thresholds: Array = op.theta.astype(np.int64) + np.arange(op.levels)[:, None] * step.astype(np.int64)
    return thresholds


def _ladder(
    builder: Builder, name: str, source: Value, thresholds: Array, fan_out: Mapping[str, Any], spikes: Mapping[str, Any]
) -> Value:
    """Binary neurons ``k*C + c``, 1 where channel c reaches ``thresholds[k, c]``.

    ``v = i + 1.5 - threshold`` exceeds 1 exactly there.
    """
    levels, channels = thresholds.shape
    check_size(levels * channels, channels)
    copies = np.tile(np.eye(channels, dtype=np.float32), (levels, 1))
    bias = (1.5 - thresholds.astype(np.float64)).reshape(-1)
    wide = builder.fan_out(f"{name}_levels", source, copies, bias, fan_out)
    return builder.spikes(f"{name}_spikes", wide, spikes)


def _summing(levels: int, channels: int) -> Array:
    """The 1x1 kernel ``[C, N*C, 1, 1]`` that counts the levels of each channel."""
    return np.tile(np.eye(channels, dtype=np.float32), (1, levels))[:, :, None, None]


def _group_facts(name: str, op: SpikingNeuron) -> dict[str, dict[str, Any]]:
    """What the metadata say of the three nodes of a layer of levels, by role."""
    facts: dict[str, dict[str, Any]] = {
        role: {"group": name, "role": role, "levels": op.levels} for role in ("fan-out", "spikes", "collect")
    }
    layout = "channel k*C + c is level k+1 of channel c"
    facts["spikes"] |= {"layout": layout, "theta": op.theta.tolist()}
    if isinstance(op, LIF):
        facts["spikes"] |= {"step_size": op.step_size.tolist(), "reset": op.reset}
    elif isinstance(op, MultiLevelIF):
        facts["spikes"] |= {"reset": "soft"}
    return facts
