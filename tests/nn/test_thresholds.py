"""Learned thresholds: who shares one, and that shared ones keep residual sums whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snn2chip import nn as networks
from snn2chip.nn import MultiLevelIF, Threshold
from tests.nn.variants import SMALL, images

LEARNED: dict[str, Any] = {**SMALL, "blocks_per_stage": [2, 2], "levels": 3, "steps": 2, "learn_threshold": True}


def trained(**changes: Any) -> networks.ResNet:
    """A network whose thresholds have moved, each by another amount."""
    model = networks.resnet(**{**LEARNED, **changes}).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Threshold):
                module.log.copy_(torch.randn(module.log.shape, generator=generator) * 0.2)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 0.3)
    return model


def neurons(model: nn.Module) -> dict[str, MultiLevelIF]:
    return {name: module for name, module in model.named_modules() if isinstance(module, MultiLevelIF)}


def groups(model: nn.Module) -> set[frozenset[str]]:
    """The neurons that share a threshold."""
    found: dict[nn.Module, set[str]] = {}
    for name, neuron in neurons(model).items():
        assert isinstance(neuron.threshold, Threshold)
        found.setdefault(neuron.threshold, set()).add(name)
    return {frozenset(names) for names in found.values()}


def test_neurons_that_feed_one_sum_share_a_threshold() -> None:
    alone = {"stages.0.0.neuron1", "stages.0.1.neuron1", "stages.1.0.neuron1", "stages.1.1.neuron1"}
    first = {"stem.2", "stages.0.0.neuron2", "stages.0.1.neuron2"}
    second = {"stages.1.0.neuron2", "stages.1.0.shortcut.2", "stages.1.1.neuron2"}
    single = {frozenset({name}) for name in alone}
    assert groups(trained(block="sew")) == {frozenset(first), frozenset(second)} | single
    first |= {"stages.0.0.barrier", "stages.0.1.barrier"}
    second |= {"stages.1.0.barrier", "stages.1.1.barrier"}
    assert groups(trained(block="sparse")) == {frozenset(first), frozenset(second)} | single


@pytest.mark.parametrize("block", ["spiking", "ms"])
def test_where_no_spikes_are_added_every_neuron_has_its_own(block: str) -> None:
    model = trained(block=block)
    assert groups(model) == {frozenset({name}) for name in neurons(model)}


def test_a_first_block_that_changes_the_shape_does_not_bind_the_stem() -> None:
    assert frozenset({"stem.2"}) in groups(trained(strides=[2, 2]))


def recorded(model: nn.Module) -> dict[str, Tensor]:
    """The outputs of all neurons and of all residual blocks."""
    outputs: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, (MultiLevelIF, networks.SEWBlock)):
            module.register_forward_hook(lambda _, __, output, name=name: outputs.__setitem__(name, output))
    with torch.no_grad():
        model(images(8))
    return outputs


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_sums_are_whole_numbers_of_levels_and_barriers_count_them_all(per: str) -> None:
    model = trained(block="sparse", threshold_per=per)
    outputs = recorded(model)
    for name in ("stages.0.0", "stages.0.1", "stages.1.0", "stages.1.1"):
        level = neurons(model)[f"{name}.barrier"].level
        assert isinstance(level, Tensor)
        unit = level.detach().reshape(-1, 1, 1)
        into = {"stages.0.0": "stem.2", "stages.0.1": "stages.0.0", "stages.1.1": "stages.1.0"}
        shortcut = outputs[into.get(name, "stages.1.0.shortcut.2")] / unit
        branch = outputs[f"{name}.neuron2"] / unit
        for counts in (shortcut, branch):
            assert torch.allclose(counts, counts.round(), atol=1e-4)
            assert counts.max() > 0
        expected = _barrier(shortcut.round() + branch.round(), levels=3, steps=2)
        assert torch.equal((outputs[f"{name}.barrier"] / unit).round(), expected)


def _barrier(counts: Tensor, levels: int, steps: int) -> Tensor:
    """What a barrier makes of whole sums ``[T*B, ...]``, in whole numbers."""
    residue, outputs = torch.zeros_like(counts.reshape(steps, -1, *counts.shape[1:])[0]), []
    for step in counts.reshape(steps, -1, *counts.shape[1:]):
        emitted = (residue + step).clamp(0, levels)
        residue = residue + step - emitted
        outputs.append(emitted)
    return torch.cat(outputs)


def test_a_copy_and_a_network_read_from_a_file_share_as_the_original_does() -> None:
    model = trained()
    with torch.device("meta"):
        read = networks.resnet(**model.arch_kwargs)
    read.load_state_dict(model.state_dict(), assign=True)
    assert groups(copy.deepcopy(model)) == groups(read) == groups(model)
    assert torch.equal(read.eval()(images()), model(images()))


def test_every_neuron_trains_its_threshold() -> None:
    model = networks.resnet(**LEARNED)
    model(images(16)).square().sum().backward()
    with torch.no_grad():
        for value in model.parameters():
            assert value.grad is not None
            value.sub_(0.5 * value.grad)
    values = [float(module().detach()) for module in model.modules() if isinstance(module, Threshold)]
    assert len(values) == len(groups(model))
    assert all(value > 0 and value != 1 for value in values)
