"""Networks of SpikingJelly's model zoo and examples."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from tests.peers.framework import Layout
from tests.peers.network import Network

#: T of every network.
STEPS = 4
_PACKAGE = "spikingjelly.activation_based"


@contextmanager
def _torchvision_names() -> Iterator[None]:
    """SpikingJelly's models import torchvision for one function, which is torch.hub's own, and its examples for data
    that no test loads. (torchvision itself is kept out: see requirements/overrides.txt.)"""
    names = ("torchvision", *(f"torchvision.{part}" for part in ("models", "models.utils", "datasets", "transforms")))
    modules = {name: ModuleType(name) for name in names}
    vars(modules["torchvision.models.utils"])["load_state_dict_from_url"] = torch.hub.load_state_dict_from_url
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _made(path: str, step_mode: str, **arguments: Any) -> nn.Module:
    """``module:name`` of SpikingJelly called with `arguments`."""
    module, _, name = path.partition(":")
    with _torchvision_names():
        make = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    model: nn.Module = make(**arguments)
    functional.set_step_mode(model, step_mode)
    return model


def _narrow(path: str, step_mode: str, **arguments: Any) -> nn.Module:
    """VGG-11 with 256 instead of 4096 hidden features: 119 of its 128 million weights lie around them."""
    model = _made(path, step_mode, **arguments)
    classifier: Any = model.classifier
    for index, features in ((0, (512 * 7 * 7, 256)), (3, (256, 256)), (6, (256, 1000))):
        classifier[index] = layer.Linear(*features, step_mode=step_mode)
    return model


def _is_spiking(module: nn.Module) -> bool:
    """Neurons of SpikingJelly, and those that one of its examples brings along (its last layer does not fire)."""
    own = type(module).__module__.endswith("r11_enabling_spikebased_backpropagation") and hasattr(module, "v_threshold")
    return isinstance(module, neuron.BaseNode) or (own and getattr(module, "fire", True))


def _network(
    name: str,
    path: str,
    shape: tuple[int, ...],
    layout: Layout,
    gain: float = 1.0,
    make: Callable[..., nn.Module] = _made,
    large: bool = False,
    **arguments: Any,
) -> Network:
    shown = ", ".join(f"{key}={getattr(value, '__name__', repr(value))}" for key, value in arguments.items())
    step_mode = "s" if layout == "step" else "m"
    return Network(
        name=f"{name}, step mode {step_mode}",
        source=f"{path.replace(':', '.')}({shown})",
        package="spikingjelly",
        build=partial(make, path, step_mode, **arguments),
        spiking=_is_spiking,
        input_shape=shape,
        steps=STEPS,
        layout=layout,
        gain=gain,
        large=large,
    )


_IMAGE, _GREY = (3, 32, 32), (1, 28, 28)
_IF, _LIF, _PLIF = neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode
_VGG, _CIFAR = "model.spiking_vgg:spiking_vgg11_bn", "model.parametric_lif_net:CIFAR10Net"
_SEW, _RESNET = "model.sew_resnet:sew_resnet18", "model.spiking_resnet:spiking_resnet18"
_R11 = "examples.cifar10_r11_enabling_spikebased_backpropagation:ResNet11"
_CSNN, _MNIST = "examples.conv_fashion_mnist:CSNN", "examples.lif_fc_mnist:SNN"

NETWORKS = (
    _network("Spiking VGG-11", _VGG, _IMAGE, "step", large=True, spiking_neuron=_IF),
    _network("Spiking VGG-11, narrow classifier", _VGG, _IMAGE, "step", gain=2.0, make=_narrow, spiking_neuron=_IF),
    _network("Spiking VGG-11, narrow classifier", _VGG, _IMAGE, "TB", gain=4.0, make=_narrow, spiking_neuron=_LIF),
    _network("SEW-ResNet-18", _SEW, _IMAGE, "step", cnf="ADD", spiking_neuron=_IF),
    _network("SEW-ResNet-18", _SEW, _IMAGE, "TB", cnf="ADD", spiking_neuron=_IF, v_reset=None),
    _network("SEW-ResNet-18, products", _SEW, _IMAGE, "TB", cnf="IAND", spiking_neuron=_IF),
    _network("Spiking-ResNet-18", _RESNET, _IMAGE, "step", spiking_neuron=_IF),
    _network("Spiking-ResNet-18", _RESNET, _IMAGE, "TB", gain=2.0, spiking_neuron=_LIF),
    _network("CIFAR-10 net", _CIFAR, _IMAGE, "step", gain=1.5, channels=32, spiking_neuron=_IF),
    _network("CIFAR-10 net", _CIFAR, _IMAGE, "TB", gain=3.0, channels=32, spiking_neuron=_PLIF),
    _network("CSNN", _CSNN, _GREY, "image", gain=2.0, T=STEPS, channels=32),
    _network("dense MNIST net", _MNIST, _GREY, "step", gain=4.0, tau=2.0),
    _network("MS-ResNet-18", "model.ms_resnet:ms_resnet18", _IMAGE, "image", T=STEPS, base_channels=16),
    # Its spikes are single precision, whatever the network is.
    replace(_network("ResNet-11", _R11, _IMAGE, "step", gain=3.0), single=True, largest=16, scale=1 / 16),
)
