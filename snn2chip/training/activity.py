"""How many synaptic operations a network in training causes, as a number that has a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snn2chip.graph import Region
from snn2chip.ops import Conv2d, Linear

_Synapses = nn.Conv2d | nn.Linear


class _Events(torch.autograd.Function):
    """1 where there is a spike, else 0; straight-through backward, so that every spike is pushed alike."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor) -> Tensor:
        return (spikes > 0).to(spikes.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class ActivityMeter:
    """Watches every convolution and linear layer that reads spikes; the one that reads the input is left out.

    A synaptic operation is one non-zero spike that reaches one in-bounds target, zero weights included, as in
    ``docs/semantics.md``: events are weighted by the fan-out that `snn2chip.ops` gives them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._fan_outs: dict[tuple[int, tuple[int, ...]], Tensor] = {}
        self._events: list[Tensor] = []
        self._dense = 0.0
        self._hooks = [
            module.register_forward_pre_hook(self._watch) for module in model.modules() if isinstance(module, _Synapses)
        ]

    def _watch(self, module: Any, inputs: tuple[Tensor, ...]) -> None:
        spikes = inputs[0]
        if not spikes.requires_grad:  # the input itself, or a forward pass without gradient
            return
        fan_out = self._fan_out(module, tuple(spikes.shape[1:])).to(spikes.device)
        events = _Events.apply(spikes).sum(0)  # type: ignore[no-untyped-call]
        self._events.append((events.double() * fan_out).sum())
        self._dense += float(fan_out.sum())

    def _fan_out(self, module: Any, shape: tuple[int, ...]) -> Tensor:
        key = id(module), shape
        if key not in self._fan_outs:
            self._fan_outs[key] = torch.from_numpy(_fan_out(module, shape)).double()
        return self._fan_outs[key]

    def read(self, samples: int) -> tuple[Tensor, float]:
        """Synaptic operations per sample since the last call, and the synapses that there are.

        Their quotient is the number of events that a synapse sees in one inference, summed over T steps.
        """
        operations, dense = torch.stack(self._events).sum() / samples, self._dense
        self._events, self._dense = [], 0.0
        return operations, dense

    def close(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()


def _fan_out(module: Any, shape: tuple[int, ...]) -> Any:
    """Synapses that leave each position of an input of `shape`."""
    weight = module.weight.detach().cpu().numpy()
    if isinstance(module, nn.Linear):
        return Linear(weight).fan_out(shape, Region(range(len(weight)), range(1)))
    stride, padding, dilation = map(_pair, (module.stride, module.padding, module.dilation))
    op = Conv2d(weight, None, stride, padding, dilation, module.groups)
    rows = (shape[1] + 2 * op.padding[0] - op.dilation[0] * (op.kernel[0] - 1) - 1) // op.stride[0] + 1
    return op.fan_out(shape, Region(range(len(weight)), range(rows)))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
