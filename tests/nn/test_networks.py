"""Encoding, blocks, networks and their files."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.nn import DirectEncoding, MultiLevelIF, Readout, SEWBlock, SparseBlock
from snn2chip.nn.neurons import Backward

SMALL: dict[str, Any] = {
    "width": 4,
    "blocks_per_stage": [1, 2],
    "strides": [1, 2],
    "in_channels": 1,
    "input_scale": 1 / 16,
}
VARIANTS: list[dict[str, Any]] = [
    {"block": "sparse", "levels": 4, "steps": 1},
    {"block": "sparse", "levels": 1, "steps": 4},
    {"block": "sew", "levels": 4, "steps": 2},
    {"block": "sparse", "neuron": "quantized_relu", "bits": 3},
]


def images(batch: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 17, (batch, 1, 8, 8), dtype=torch.uint8, generator=generator)


def four_levels(backward: Backward) -> MultiLevelIF:
    return MultiLevelIF(levels=4, backward=backward)


def test_an_image_is_shown_at_every_step() -> None:
    encoded = DirectEncoding(steps=3, scale=1 / 16)(images())
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded.reshape(3, 5, 1, 8, 8), (images() / 16).expand(3, 5, 1, 8, 8))


def test_frames_are_shown_one_after_the_other() -> None:
    frames = images(10).reshape(5, 2, 1, 8, 8)
    encoded = DirectEncoding(steps=2, scale=0.5)(frames)
    assert torch.equal(encoded.reshape(2, 5, 1, 8, 8), frames.transpose(0, 1) * 0.5)


@pytest.mark.parametrize("shape", [(5, 3, 1, 8, 8), (5, 8, 8)])
def test_other_shapes_are_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"expected \[B,C,H,W\] or \[B,2,C,H,W\], not shape \[5, "):
        DirectEncoding(steps=2)(torch.zeros(shape))


def test_the_readout_is_the_mean_over_time() -> None:
    logits = torch.arange(24.0)
    assert torch.equal(Readout(3)(logits.reshape(6, 4)), logits.reshape(3, 2, 4).mean(0))


def spikes() -> Tensor:
    return torch.randint(0, 5, (6, 4, 8, 8), generator=torch.Generator().manual_seed(2)) / 4


def test_an_identity_shortcut_adds_the_spikes_themselves() -> None:
    block = SEWBlock(4, 4, 1, four_levels).eval()
    nn.init.constant_(block.norm2.bias, -10.0)  # type: ignore[arg-type]
    assert torch.equal(block(spikes()), spikes())


def test_a_sew_block_lets_values_grow_and_a_barrier_clips_them() -> None:
    sew, sparse = SEWBlock(4, 4, 1, four_levels).eval(), SparseBlock(4, 4, 1, four_levels).eval()
    nn.init.constant_(sew.norm2.bias, 10.0)  # type: ignore[arg-type]
    sparse.load_state_dict(sew.state_dict())
    assert torch.equal(sew(spikes()), spikes() + 1)
    assert torch.equal(sparse(spikes()), torch.ones(6, 4, 8, 8))


def test_the_barrier_alone_is_straight_through() -> None:
    block = SparseBlock(4, 8, 2, four_levels)
    backwards = {name: m.backward for name, m in block.named_modules() if isinstance(m, MultiLevelIF)}
    assert backwards.pop("barrier") == "straight_through"
    assert backwards == {"neuron1": "surrogate", "neuron2": "surrogate", "shortcut.2": "surrogate"}


def test_a_shortcut_that_changes_shape_is_conv_norm_neuron() -> None:
    block = SEWBlock(4, 8, 2, four_levels).eval()
    assert isinstance(block.shortcut, nn.Sequential)
    conv, norm, neuron = block.shortcut
    assert isinstance(conv, nn.Conv2d)
    nn.init.constant_(block.norm2.bias, -10.0)  # type: ignore[arg-type]
    assert (conv.kernel_size, conv.stride, conv.bias) == ((1, 1), (2, 2), None)
    assert torch.equal(block(spikes()), neuron(norm(conv(spikes()))))


def test_batch_norm_sees_time_and_batch_together() -> None:
    """On frames that differ from step to step, the statistics are those of all steps at once."""
    model = networks.resnet(**SMALL, levels=1, steps=4)
    frames = images(20).reshape(5, 4, 1, 8, 8)
    model.train()(frames)
    conv, norm = model.stem[0], model.stem[1]
    currents = conv(frames.reshape(-1, 1, 8, 8).float() / 16)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, 0.1 * currents.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * currents.var((0, 2, 3)), atol=1e-6)
    assert norm.num_batches_tracked == 1


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, networks.LEAF_MODULES) or super().is_leaf_module(module, name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_fx_traces_it_into_module_calls_and_additions(variant: dict[str, Any]) -> None:
    model = networks.build("resnet", {**SMALL, **variant}).eval()
    graph = Tracer().trace(model)
    assert {node.op for node in graph.nodes} == {"placeholder", "call_module", "call_function", "output"}
    functions = {node.target for node in graph.nodes if node.op == "call_function"}
    assert functions == {operator.add}
    assert torch.equal(fx.GraphModule(model, graph)(images()), model(images()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient(variant: dict[str, Any]) -> None:
    model = networks.build("resnet", {**SMALL, **variant})
    model(images()).square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def test_the_defaults_are_the_cifar_resnet_18() -> None:
    model = networks.resnet()
    assert sum(value.numel() for value in model.parameters()) == 11_173_962
    assert model.eval()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 10)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 17 + 3
    assert all(module.bias is None for module in convolutions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": "dense"}, "block must be one of"),
        ({"neuron": "relu"}, "neuron must be one of"),
        ({"neuron": "quantized_relu", "steps": 2}, "one step, not 2"),
        ({"strides": [1]}, "2 stages need as many strides, not 1"),
        ({"depth": 18}, "unexpected keyword argument 'depth'"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        networks.build("resnet", {**SMALL, **arguments})


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UserError, match="Unknown architecture 'vgg'; known are resnet"):
        networks.build("vgg", {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_network_comes_back(variant: dict[str, Any], tmp_path: Path) -> None:
    model = networks.build("resnet", {**SMALL, **variant})
    model(images())  # moves the batch-norm statistics away from their start
    path = networks.save(model, tmp_path / "new" / "model.pt", input_shape=[1, 8, 8], accuracy=0.5)
    content = torch.load(path, weights_only=True)
    assert (content["format"], content["input_shape"], content["accuracy"]) == (networks.FORMAT, [1, 8, 8], 0.5)
    again = networks.build(content["arch"], content["arch_kwargs"])
    again.load_state_dict(content["state_dict"])
    assert torch.equal(again.eval()(images()), model.eval()(images()))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    model = networks.resnet(**SMALL)
    first, second = networks.save(model, tmp_path / "a.pt"), networks.save(model, tmp_path / "b.pt")
    assert first.read_bytes() == second.read_bytes()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = networks.save(networks.resnet(**SMALL), tmp_path / "model.pt")
    before = path.read_bytes()

    def full_disk(content: object, stream: Any) -> None:
        stream.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        networks.save(networks.resnet(**SMALL), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_only_plain_metadata_is_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metadata 'recipe.rates' is a tuple"):
        networks.save(networks.resnet(**SMALL), tmp_path / "model.pt", recipe={"rates": (1, 2)})
    assert not list(tmp_path.iterdir())


def test_a_foreign_network_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a Linear was not made by snn2chip.nn.build"):
        networks.save(nn.Linear(2, 2), tmp_path / "model.pt")
