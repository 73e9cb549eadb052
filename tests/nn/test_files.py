"""Networks in files, and what a file may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.nn import limits
from tests.nn.variants import SMALL, SMALL_VGG, VARIANTS, images


def move_thresholds(model: nn.Module) -> None:
    """As training would."""
    with torch.no_grad():
        for index, module in enumerate(model.modules()):
            if isinstance(module, networks.Threshold):
                module.log.add_(0.01 * index)


@pytest.mark.parametrize(("arch", "kwargs"), VARIANTS)
def test_a_saved_network_comes_back(arch: str, kwargs: dict[str, Any], tmp_path: Path) -> None:
    model = networks.build(arch, kwargs)
    model(images())  # moves the batch-norm statistics away from their start
    move_thresholds(model)
    path = networks.save(model, tmp_path / "new" / "model.pt", input_shape=[1, 8, 8], accuracy=0.5)
    content = torch.load(path, weights_only=True)
    assert (content["format"], content["input_shape"], content["accuracy"]) == (networks.FORMAT, [1, 8, 8], 0.5)
    with torch.device("meta"):  # as a file from elsewhere is read
        again = networks.build(content["arch"], content["arch_kwargs"])
    again.load_state_dict(content["state_dict"], assign=True)
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


ABSURD: list[tuple[str, dict[str, Any]]] = [
    ("resnet", {"blocks_per_stage": [10**5], "strides": [1]}),
    ("resnet", {"blocks_per_stage": [1000] * 10, "strides": [1] * 10}),
    ("resnet", {"blocks_per_stage": [1] * 10**6, "strides": [1] * 10**6}),
    ("resnet", {"blocks_per_stage": "1" * 4, "strides": [1] * 4}),
    ("resnet", {"width": 10**9}),
    ("resnet", {"width": 10**5000}),
    ("resnet", {"width": 4096}),
    ("resnet", {"width": True}),
    ("resnet", {"width": 64.0}),
    ("resnet", {"width": [[[64]]]}),
    ("resnet", {"classes": 2**62}),
    ("resnet", {"classes": -1}),
    ("resnet", {"in_channels": 2**62}),
    ("resnet", {"hidden": [65536, 65536]}),
    ("resnet", {"hidden": {"a": 1}}),
    ("resnet", {"strides": [1, 2, 2, 10**9]}),
    ("resnet", {"levels": 10**9}),
    ("resnet", {"steps": 10**9}),
    ("resnet", {"bits": 64, "neuron": "quantized_relu"}),
    ("resnet", {"threshold": float("inf")}),
    ("resnet", {"threshold": 10**400}),
    ("resnet", {"alpha": float("nan")}),
    ("resnet", {"surrogate_gain": "much"}),
    ("resnet", {"input_scale": -1.0}),
    ("resnet19", {"width": 60000}),
    ("vgg", {**SMALL_VGG, "convolutions_per_stage": [10**5]}),
    ("vgg", {**SMALL_VGG, "convolutions_per_stage": [1000, 1000]}),
    ("vgg", {**SMALL_VGG, "image_size": 10**9}),
    ("vgg", {**SMALL_VGG, "image_size": 65536}),
    ("vgg16", {"width": 8192}),
]


@pytest.mark.parametrize(("arch", "kwargs"), ABSURD)
def test_an_absurd_network_is_refused_before_anything_is_built(
    arch: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: object) -> None:
        raise AssertionError("a parameter was made")

    monkeypatch.setattr(nn.Module, "register_parameter", built)
    with pytest.raises(UserError) as caught:
        networks.build(arch, kwargs)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("arch", "kwargs"), [*VARIANTS, ("resnet", {}), ("resnet19", {"block": "ms"}), ("vgg11", {})])
def test_the_weights_that_are_limited_are_those_that_are_made(
    arch: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(limits, "check_weights", lambda network, weights: counted.append(weights))
    with torch.device("meta"):
        model = networks.build(arch, kwargs)
    assert counted == [sum(value.numel() for value in model.parameters() if value.ndim > 1)]


@pytest.mark.parametrize(("name", "arch"), [("resnet19", "resnet"), ("vgg11", "vgg"), ("vgg16", "vgg")])
def test_a_named_configuration_is_saved_as_the_network_that_it_is(name: str, arch: str) -> None:
    with torch.device("meta"):
        model = networks.build(name, {"width": 4})
        again = networks.build(arch, model.arch_kwargs)  # type: ignore[arg-type]
    assert model.arch == arch
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
