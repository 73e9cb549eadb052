"""The fair set: which networks a multi-level network is compared with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.nn.families import fair_set
from snn2chip.training import RECIPES
from tests.nn.variants import SMALL, SMALL_VGG


def test_the_fair_set_of_the_digits_network() -> None:
    digits = RECIPES["digits"].arch_kwargs
    found = fair_set(digits)
    assert list(found) == [
        "sparse-n4-t1",
        "binary-t4",
        "binary-t1",
        "qann-3bit",
        "sew-n4-t1",
        "spiking-n4-t1",
        "ms-n4-t1",
        "barrier-surrogate-n4-t1",
    ]
    assert found["sparse-n4-t1"] == digits
    assert found["barrier-surrogate-n4-t1"] == {**digits, "barrier_backward": "surrogate"}


def test_what_it_derives_is_what_the_shipped_baselines_were_trained_as() -> None:
    found = fair_set(RECIPES["digits"].arch_kwargs)
    names = ("digits", "digits-binary-t4", "digits-binary-t1", "digits-sew", "digits-qann")
    for recipe in map(RECIPES.__getitem__, names):
        assert found[recipe.label] == recipe.arch_kwargs


@pytest.mark.parametrize(
    ("kwargs", "bits"),
    [
        ({"levels": 3, "steps": 1}, 2),
        ({"levels": 2, "steps": 2}, 3),
        ({"levels": 7, "steps": 1}, 3),
        ({"levels": 4, "steps": 2}, 4),
        ({"levels": 85, "steps": 3}, 8),
    ],
)
def test_the_quantized_ann_has_room_for_all_levels(kwargs: dict[str, int], bits: int) -> None:
    """ceil(log2(N * T + 1)) bits."""
    ann = fair_set(kwargs)[f"qann-{bits}bit"]
    assert (ann["neuron"], ann["bits"], ann["steps"]) == ("quantized_relu", bits, 1)
    assert 2 ** (bits - 1) < kwargs["levels"] * kwargs["steps"] + 1 <= 2**bits


def test_a_network_that_is_one_of_the_others_occurs_once() -> None:
    sew = fair_set({**SMALL, "block": "sew", "levels": 3, "steps": 2})
    assert next(iter(sew)) == "sew-n3-t2"
    assert set(sew) == {
        *("sew-n3-t2", "sparse-n3-t2", "spiking-n3-t2", "ms-n3-t2", "barrier-surrogate-n3-t2"),
        *("binary-t6", "binary-t2", "qann-3bit"),
    }
    surrogate = fair_set({**SMALL, "barrier_backward": "surrogate"})
    assert next(iter(surrogate)) == "barrier-surrogate-n4-t1"
    assert surrogate["sparse-n4-t1"] == {**SMALL, "block": "sparse", "levels": 4, "steps": 1}


def test_a_vgg_has_no_residual_blocks_to_compare() -> None:
    assert list(fair_set(SMALL_VGG, "vgg")) == ["vgg-n4-t1", "binary-t4", "binary-t1", "qann-3bit"]


@pytest.mark.parametrize(("arch", "kwargs"), [("resnet", SMALL), ("resnet19", {"width": 4}), ("vgg", SMALL_VGG)])
def test_all_have_the_same_convolutions(arch: str, kwargs: dict[str, Any]) -> None:
    shapes = set()
    for kwargs_of_one in fair_set({**kwargs, "levels": 2, "steps": 2, "learn_threshold": True}, arch).values():
        with torch.device("meta"):
            model = networks.build(arch, kwargs_of_one)
        shapes.add(
            tuple(module.weight.shape for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear)))
        )
        assert any(isinstance(module, networks.Threshold) for module in model.modules())
    assert len(shapes) == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"neuron": "quantized_relu"}, "not from neuron='quantized_relu'"),
        ({"levels": 1, "steps": 4}, "not from one of a single level"),
        ({"levels": 64, "steps": 4}, "N . T = 256 needs a quantized ANN of 9 bits, but 8 are the most"),
    ],
)
def test_what_has_no_fair_set_is_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fair_set(kwargs)
