"""The layers of `snn2chip.nn` that stand for time and neurons; the rest is PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from snn2chip import nn as networks
from snn2chip.errors import GraphError
from snn2chip.frontend.axes import BATCH, TIME
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules.base import Call, Rule
from snn2chip.frontend.trace import qualified_name
from snn2chip.frontend.values import MEAN, NodeValue, When
from snn2chip.graph import LARGEST_STEPS, frozen
from snn2chip.ops import MultiLevelIF, Readout, Scale


def _encoding(call: Call) -> NodeValue:
    module = call.module
    (images,) = call.args
    if not isinstance(images, NodeValue) or images.node != call.trace.builder.first:
        raise GraphError("it must read the input of the network")
    if not isinstance(module.scale, (int, float)):
        raise GraphError(f"scale is {module.scale!r}: it must be a number")
    if type(module.steps) is not int or not 1 <= module.steps <= LARGEST_STEPS:
        raise GraphError(f"steps is {module.steps}: T must lie in 1..{LARGEST_STEPS}")
    if images.time.when is not When.EVERY:
        raise GraphError("it encodes one image, but the network is given one with a time axis")
    call.steps(module.steps)
    scale = Scale(float(module.scale))
    node = call.trace.emit(call.path, scale, (images.node,))
    return call.trace.result(node, ((TIME, BATCH),), call.trace.whole)


def _neuron(call: Call) -> NodeValue:
    module = call.module
    if call.trace.steps not in (None, module.steps):
        raise GraphError(f"it runs {module.steps} steps, but the input is encoded over {call.trace.steps}")
    level = module.level.detach().cpu().double().numpy() if isinstance(module.level, torch.Tensor) else module.level
    each = np.asarray(level, dtype=np.float64).reshape(-1)
    unit = frozen(each) if len(each) > 1 else float(each[0])

    def build(builder: Builder, name: str, source: str) -> str:
        theta = frozen(np.broadcast_to(each, builder.shape(source)[0]))
        counts = builder.add(name, MultiLevelIF(theta, module.levels), (source,))
        # The module emits real values z * Vth / N; an operation's spikes are counts z.
        return builder.add(f"{name}.value", Scale(unit), (counts,))

    call.steps(module.steps)
    return call.over_time(call.args[0], build, lead=("TB",), restarts=True)


def _readout(call: Call) -> NodeValue:
    module = call.module
    if call.trace.steps not in (None, module.steps):
        raise GraphError(f"it reads {module.steps} steps, but the input is encoded over {call.trace.steps}")
    call.steps(module.steps)
    logits = call.stateless(
        call.args[0], lambda builder, name, source: builder.add(name, Readout(), (source,)), ("TB",)
    )
    return call.trace.result(logits.node, ((BATCH,),), MEAN)


RULES = {
    qualified_name(networks.DirectEncoding): Rule(_encoding),
    qualified_name(networks.MultiLevelIF): Rule(_neuron, ("forward", "dynamics")),
    qualified_name(networks.Readout): Rule(_readout),
}
