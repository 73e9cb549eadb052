"""Residual blocks: what they add, and what flows where."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from snn2chip import nn as networks
from snn2chip.nn import (
    MSBlock,
    MultiLevelIF,
    NeuronFactory,
    NeuronOptions,
    SEWBlock,
    SparseBlock,
    SpikingBlock,
)
from snn2chip.nn.neurons import Backward

FOUR_LEVELS = NeuronFactory(NeuronOptions(levels=4))
Blocks = TypeVar("Blocks", SEWBlock, SparseBlock, SpikingBlock, MSBlock)


def block(kind: type[Blocks], inputs: int = 4, outputs: int = 4, stride: int = 1) -> Blocks:
    return kind(inputs, outputs, stride, FOUR_LEVELS, FOUR_LEVELS).eval()


def silence(norm: nn.Module) -> None:
    nn.init.zeros_(norm.weight)  # type: ignore[arg-type]
    nn.init.constant_(norm.bias, -10.0)  # type: ignore[arg-type]


def spikes() -> Tensor:
    return torch.randint(0, 5, (6, 4, 8, 8), generator=torch.Generator().manual_seed(2)) / 4


def test_an_identity_shortcut_adds_the_spikes_themselves() -> None:
    sew = block(SEWBlock)
    silence(sew.norm2)
    assert torch.equal(sew(spikes()), spikes())


def test_a_sew_block_lets_values_grow_and_a_barrier_clips_them() -> None:
    sew, sparse = block(SEWBlock), block(SparseBlock)
    nn.init.constant_(sew.norm2.bias, 10.0)  # type: ignore[arg-type]
    sparse.load_state_dict(sew.state_dict())
    assert torch.equal(sew(spikes()), spikes() + 1)
    assert torch.equal(sparse(spikes()), torch.ones(6, 4, 8, 8))


@pytest.mark.parametrize("barrier", ["straight_through", "surrogate", "sum_of_bumps"])
def test_the_barrier_has_a_backward_of_its_own(barrier: Backward) -> None:
    factory = NeuronFactory(NeuronOptions(barrier_backward=barrier))
    sparse = SparseBlock(4, 8, 2, factory, factory)
    backwards = {name: m.backward for name, m in sparse.named_modules() if isinstance(m, MultiLevelIF)}
    assert backwards.pop("barrier") == barrier
    assert backwards == {"neuron1": "surrogate", "neuron2": "surrogate", "shortcut.2": "surrogate"}


def test_without_an_option_the_barrier_alone_is_straight_through() -> None:
    assert block(SparseBlock).barrier.backward == "straight_through"
    assert {m.backward for m in block(SEWBlock).modules() if isinstance(m, MultiLevelIF)} == {"surrogate"}


def test_a_shortcut_that_changes_shape_is_conv_norm_neuron() -> None:
    sew = block(SEWBlock, 4, 8, 2)
    assert isinstance(sew.shortcut, nn.Sequential)
    conv, norm, neuron = sew.shortcut
    assert isinstance(conv, nn.Conv2d)
    silence(sew.norm2)
    assert (conv.kernel_size, conv.stride, conv.bias) == ((1, 1), (2, 2), None)
    assert torch.equal(sew(spikes()), neuron(norm(conv(spikes()))))


def test_a_spiking_block_adds_spikes_to_the_current_of_its_last_neuron() -> None:
    spiking = block(SpikingBlock)
    nn.init.zeros_(spiking.norm2.weight)  # type: ignore[arg-type]
    nn.init.constant_(spiking.norm2.bias, 0.125)  # type: ignore[arg-type]
    assert torch.equal(spiking(spikes()), spikes())  # half a level more is not a level more
    nn.init.constant_(spiking.norm2.bias, 0.25)  # type: ignore[arg-type]
    assert torch.equal(spiking(spikes()), (spikes() + 0.25).clamp(max=1))


def test_the_shortcut_of_a_spiking_block_that_changes_shape_is_a_current() -> None:
    spiking = block(SpikingBlock, 4, 8, 2)
    silence(spiking.norm2)
    assert isinstance(spiking.shortcut, nn.Sequential)
    assert [type(layer) for layer in spiking.shortcut] == [nn.Conv2d, nn.BatchNorm2d]
    nn.init.constant_(spiking.norm2.bias, 0.0)  # type: ignore[arg-type]
    assert torch.equal(spiking(spikes()), spiking.neuron2(spiking.shortcut(spikes())))


def currents() -> Tensor:
    return torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(4))


def test_past_an_ms_block_flows_the_current_itself() -> None:
    ms = block(MSBlock)
    nn.init.zeros_(ms.norm2.weight)  # type: ignore[arg-type]
    assert torch.equal(ms(currents()), currents())
    nn.init.constant_(ms.norm2.bias, 0.375)  # type: ignore[arg-type]
    assert torch.equal(ms(currents()), currents() + 0.375)


def test_convolutions_of_an_ms_block_read_spikes_only() -> None:
    ms = block(MSBlock, 4, 8, 2)
    read: dict[str, Tensor] = {}
    for name, module in ms.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, inputs, __, name=name: read.__setitem__(name, inputs[0]))
    ms(currents())
    assert read.keys() == {"conv1", "conv2", "shortcut.0"}
    assert all(set(value.flatten().tolist()) <= {0, 0.25, 0.5, 0.75, 1} for value in read.values())
    assert torch.equal(read["shortcut.0"], read["conv1"])


def test_in_an_ms_network_the_pool_reads_spikes() -> None:
    model = networks.resnet("ms", width=4, blocks_per_stage=[1, 2], strides=[1, 2], in_channels=1).eval()
    seen: list[Tensor] = []
    model.pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.randint(0, 256, (5, 1, 8, 8)))
    assert isinstance(model.neuron, MultiLevelIF)
    assert not any(isinstance(layer, MultiLevelIF) for layer in model.stem)
    assert set(seen[0].flatten().tolist()) <= {0, 0.25, 0.5, 0.75, 1}
