"""Encoding and whole networks."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from torch import fx, nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.nn import DirectEncoding, MultiLevelIF, Readout
from tests.nn.variants import SMALL, SMALL_VGG, VARIANTS, images


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


LEAVES = (networks.MultiLevelIF, networks.QuantizedReLU, networks.DirectEncoding, networks.Readout)


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, LEAVES) or super().is_leaf_module(module, name)


@pytest.mark.parametrize(("arch", "kwargs"), VARIANTS)
def test_fx_traces_it_into_module_calls_and_additions(arch: str, kwargs: dict[str, Any]) -> None:
    model = networks.build(arch, kwargs).eval()
    graph = Tracer().trace(model)
    assert {node.op for node in graph.nodes} <= {"placeholder", "call_module", "call_function", "output"}
    functions = {node.target for node in graph.nodes if node.op == "call_function"}
    assert functions == (set() if arch == "vgg" else {operator.add})
    assert torch.equal(fx.GraphModule(model, graph)(images()), model(images()))


@pytest.mark.parametrize(("arch", "kwargs"), VARIANTS)
def test_every_parameter_gets_a_gradient(arch: str, kwargs: dict[str, Any]) -> None:
    model = networks.build(arch, kwargs)
    model(images()).square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_the_defaults_are_the_cifar_resnet_18() -> None:
    model = networks.resnet()
    assert parameters(model) == 11_173_962
    assert model.eval()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 10)
    assert len(convolutions(model)) == 17 + 3
    assert all(module.bias is None for module in convolutions(model))


def test_resnet_19_has_nineteen_layers_of_weights() -> None:
    with torch.device("meta"):
        model = networks.resnet19(classes=100)
    on_the_way = [conv for conv in convolutions(model) if conv.kernel_size == (3, 3)]
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(on_the_way) + len(linear) == 19
    assert [conv.out_channels for conv in on_the_way] == [128] * 7 + [256] * 6 + [512] * 4
    assert [layer.out_features for layer in linear] == [256, 100]


def test_vgg_16_is_the_published_configuration() -> None:
    """Of arXiv 2510.24637's authors: 13 convolutions, a pool after neurons 2, 4, 7, 10 and 13, FC 512-512-10."""
    with torch.device("meta"):
        model = networks.vgg16()
    layers = [
        m for m in model.stages.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, MultiLevelIF, nn.MaxPool2d))
    ]
    names = "".join(
        {nn.Conv2d: "C", nn.BatchNorm2d: "B", MultiLevelIF: "N", nn.MaxPool2d: "P"}[type(m)] for m in layers
    )
    assert names == "CBNCBNP" * 2 + "CBNCBNCBNP" * 3
    assert [conv.out_channels for conv in convolutions(model)] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(512, 512), (512, 512), (512, 10)]
    assert parameters(model) == 15_250_378


def test_vgg_11_has_eight_convolutions_and_an_average_pool_on_request() -> None:
    with torch.device("meta"):
        model = networks.vgg11(pool="average")
    assert [conv.out_channels for conv in convolutions(model)] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert [type(stage[-1]) for stage in model.stages] == [nn.AvgPool2d] * 5  # type: ignore[index]


def test_the_head_of_a_vgg_reads_what_the_pools_leave() -> None:
    model = networks.vgg(convolutions_per_stage=[1, 1], width=4, hidden=[], image_size=13).eval()
    assert model.head.in_features == 8 * 3 * 3
    assert model(torch.zeros(2, 3, 13, 13)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": "dense"}, "block must be one of"),
        ({"neuron": "relu"}, "neuron must be one of"),
        ({"neuron": "quantized_relu", "steps": 2}, "steps is 2: a quantized ANN has one step"),
        ({"backward": "none"}, "backward must be one of"),
        ({"barrier_backward": ["surrogate"]}, "barrier_backward must be one of .* not a list"),
        ({"learn_threshold": 1}, "learn_threshold must be True or False, not a int"),
        ({"threshold_per": "pixel"}, "threshold_per must be one of"),
        ({"strides": [1]}, "2 stages need as many strides, not 1"),
        ({"blocks_per_stage": [], "strides": []}, "0 stages"),
        ({"blocks_per_stage": [1, 0]}, r"blocks_per_stage\[1\] is 0"),
        ({"strides": [1, 0]}, r"strides\[1\] is 0"),
        ({"input_scale": float("nan")}, "input_scale is nan"),
        ({"depth": 18}, "unexpected keyword argument 'depth'"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        networks.build("resnet", {**SMALL, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pool": "sum"}, "pool must be one of"),
        ({"convolutions_per_stage": [1, 1, 1, 1]}, "an image of size 8 cannot be halved by each of 4 pools"),
        ({"convolutions_per_stage": []}, "an image of size 8 cannot be halved by each of 0 pools"),
        ({"block": "sew"}, "unexpected keyword argument 'block'"),
    ],
)
def test_a_vgg_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        networks.build("vgg", {**SMALL_VGG, **arguments})


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(
        UserError, match="Unknown architecture 'alexnet'; known are resnet, resnet19, vgg, vgg11, vgg16"
    ):
        networks.build("alexnet", {})
