"""The activity penalty: it counts synaptic operations exactly, and makes them fewer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from snn2chip import nn as networks
from snn2chip.data import Split, digits
from snn2chip.nn import MultiLevelIF
from snn2chip.training import RECIPES, train
from snn2chip.training.activity import ActivityMeter
from snn2chip.training.loop import Trainer


def reached(inputs: torch.Tensor, conv: nn.Conv2d) -> int:
    """Synaptic operations by a plain loop, padding 1: every non-zero input, every output position that it is in."""
    count, (rows, columns) = 0, conv(inputs).shape[2:]
    for *_, y, x in inputs.nonzero().tolist():
        for out_y in range(rows):
            for out_x in range(columns):
                tap_y, tap_x = y - out_y * conv.stride[0] + 1, x - out_x * conv.stride[1] + 1
                if 0 <= tap_y < conv.kernel_size[0] and 0 <= tap_x < conv.kernel_size[1]:
                    count += conv.out_channels // conv.groups
    return count


@pytest.mark.parametrize(("stride", "groups", "kernel"), [(1, 1, 3), (2, 1, 3), (2, 2, (1, 3)), (1, 4, 2)])
def test_operations_are_those_of_a_plain_loop(stride: int, groups: int, kernel: int | tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, kernel, stride, padding=1, groups=groups)
    neuron, head = MultiLevelIF(levels=4), nn.Linear(5, 3)
    model = nn.Sequential(neuron, conv)
    meter = ActivityMeter(nn.ModuleList([model, head]))
    currents = (torch.rand(3, 4, 6, 5) - 0.5).requires_grad_()
    hidden = neuron((torch.rand(3, 5) - 0.3).requires_grad_())
    model(currents)
    head(hidden)
    operations, synapses = meter.read(samples=3)
    spikes = neuron(currents)
    expected = reached(spikes, conv) + int((hidden > 0).sum()) * 3
    assert float(operations.detach()) == pytest.approx(expected / 3)
    assert synapses == reached(torch.ones(1, 4, 6, 5), conv) + 15


def test_every_event_is_pushed_by_its_fan_out_and_the_input_is_not_counted() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1)
    meter = ActivityMeter(conv)
    conv(torch.ones(1, 1, 3, 3))  # no gradient: this is the input
    spikes = torch.tensor([[0.0, 0.5, 0], [0, 0, 1], [0.25, 0, 0]]).reshape(1, 1, 3, 3).requires_grad_()
    conv(spikes)
    operations, synapses = meter.read(samples=1)
    operations.backward()  # type: ignore[no-untyped-call]
    fan_out = torch.tensor([[4.0, 6, 4], [6, 9, 6], [4, 6, 4]]).reshape(1, 1, 3, 3) * 2
    assert float(operations.detach()) == 12 + 12 + 8
    assert synapses == float(fan_out.sum())
    assert spikes.grad is not None
    assert torch.equal(spikes.grad, fan_out)


def test_a_closed_meter_watches_no_more() -> None:
    conv = nn.Conv2d(1, 1, 1)
    ActivityMeter(conv).close()
    assert not conv._forward_pre_hooks


def activity(out: Path, penalty: float) -> float:
    """Synaptic operations of the last of three epochs on 320 digits."""
    images = digits.load()
    dataset = dataclasses.replace(images, train=Split(images.train.x[:320], images.train.y[:320]))
    recipe = dataclasses.replace(RECIPES["digits"].with_network(width=4), batch_size=8, activity_penalty=penalty)
    train(recipe, out, epochs=3, dataset=dataset)
    lines = out.with_name(out.name + ".log.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["synaptic_operations"])


def test_the_penalty_makes_events_fewer_and_is_logged(tmp_path: Path) -> None:
    plain, penalised = (activity(tmp_path / f"{weight}.pt", weight) for weight in (1e-9, 3.0))
    assert penalised < 0.7 * plain


def test_what_is_logged_is_what_the_network_did() -> None:
    """One epoch of one batch without augmentation: the count of the first forward pass, by hooks of the test's own."""
    recipe = RECIPES["digits"].with_network(width=4)
    recipe = dataclasses.replace(recipe, activity_penalty=0.1, batch_size=1000)
    still = dataclasses.replace(recipe.augmentation, degrees=0.0, scale=0.0, shear=0.0, shift=0.0)
    recipe = dataclasses.replace(recipe, augmentation=still)
    images = digits.load().train
    part = Split(images.x[:40], images.y[:40])
    record = Trainer(recipe, seed=0, epochs=1, largest=16).run_epoch(0, part, part)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = networks.build("resnet", recipe.arch_kwargs)
    counts: list[float] = []
    for module in list(model.modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module is not model.get_submodule("stem.0"):
            module.register_forward_pre_hook(lambda layer, inputs: counts.append(_operations(layer, inputs[0])))
    model.train()(torch.from_numpy(part.x))
    assert record.synaptic_operations == pytest.approx(sum(counts) / 40)


def _operations(layer: nn.Module, spikes: torch.Tensor) -> float:
    if isinstance(layer, nn.Conv2d):
        ones = nn.functional.conv2d((spikes > 0).float(), torch.ones_like(layer.weight), None, layer.stride, 1)
        if layer.kernel_size == (1, 1):
            ones = nn.functional.conv2d((spikes > 0).float(), torch.ones_like(layer.weight), None, layer.stride, 0)
        return float(ones.sum())
    assert isinstance(layer, nn.Linear)
    return float((spikes > 0).sum()) * layer.out_features
