"""Every family is understood: its float graph emits what the module emits, and its integers are legal and follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn2chip import engine, frontend, interpreter, spec
from snn2chip import nn as networks
from snn2chip.graph import Array, Graph
from snn2chip.ops import SpikingNeuron
from snn2chip.quantize import quantize
from tests.nn.variants import VARIANTS, images


def trained(arch: str, kwargs: dict[str, Any]) -> nn.Module:
    """Statistics as after training, and learned thresholds moved away from their start."""
    torch.manual_seed(0)
    model = networks.build(arch, kwargs).train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, networks.Threshold):
                module.log.add_(torch.randn(()) * 0.2)
            elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
                nn.init.constant_(module.bias, 0.3)
        for _ in range(10):
            model(images(32))
    return model.eval()


def emitted(model: nn.Module, inputs: Tensor) -> tuple[dict[str, Array], Array]:
    """The counts of every neuron, ``[T*B, ...]``, and the logits."""
    counts: dict[str, Array] = {}
    for name, module in model.named_modules():
        if isinstance(module, networks.MultiLevelIF):
            level = float(torch.as_tensor(module.level).detach())
            module.register_forward_hook(
                lambda _, __, output, name=name, level=level: counts.__setitem__(name, (output / level).round().numpy())
            )
    with torch.no_grad():
        return counts, model(inputs).numpy()


def capturable(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("threshold_per") != "channel"


def recorded(graph: Graph, inputs: Array) -> tuple[dict[str, Array], Array]:
    """The counts of every neuron, ``[B, T, ...]``, and the outputs of every step."""
    neurons = frozenset(node.name for node in graph.of_kind(SpikingNeuron))
    recorder = interpreter.Recorder(neurons)
    outputs = interpreter.run(graph, inputs, [recorder])
    return recorder.tensors, outputs


@pytest.mark.parametrize(("arch", "kwargs"), [pair for pair in VARIANTS if capturable(pair[1])])
def test_the_graph_emits_the_spikes_of_the_module(arch: str, kwargs: dict[str, Any]) -> None:
    model, inputs = trained(arch, kwargs), images(16)
    graph = frontend.capture(model, (1, 8, 8), 16)
    counts, logits = emitted(model, inputs)
    values, outputs = recorded(graph, inputs.numpy())
    assert counts.keys() == values.keys()
    for name, expected in counts.items():
        assert np.array_equal(values[name].swapaxes(0, 1).reshape(expected.shape), expected), name
    assert np.allclose(outputs.mean(axis=1), logits, atol=1e-5)


@pytest.mark.parametrize(("arch", "kwargs"), [pair for pair in VARIANTS if capturable(pair[1])])
def test_its_integers_are_legal_and_follow(arch: str, kwargs: dict[str, Any]) -> None:
    model, inputs = trained(arch, kwargs), images(16).numpy()
    graph = frontend.capture(model, (1, 8, 8), 16)
    integer = quantize(graph)
    spec.check_integer(integer)
    outputs = interpreter.run(integer, inputs)
    assert np.array_equal(engine.run(integer, inputs), outputs)
    logits = outputs.sum(axis=1) * integer.output.unit
    reference = interpreter.run(graph, inputs).sum(axis=1)
    assert np.corrcoef(logits.ravel(), reference.ravel())[0, 1] > 0.95
