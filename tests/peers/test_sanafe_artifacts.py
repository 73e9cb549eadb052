"""Small artifacts, read from disk, in SANA-FE: every kind of block, graded through the unary lowering, and binary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn2chip import api, artifact, interpreter, nn
from snn2chip.artifact import Samples
from snn2chip.hw_models import load_chip
from snn2chip.hw_models.sanafe import Expected, expected
from tests.peers.sanafe_runs import simulated
from tests.peers.test_sanafe import check

NETWORKS: dict[str, dict[str, Any]] = {
    **{f"{block}, N=4, T=1": {"block": block, "levels": 4, "steps": 1} for block in ("sparse", "sew", "spiking", "ms")},
    "sparse, N=1, T=3": {"block": "sparse", "levels": 1, "steps": 3},
    "spiking, N=1, T=2": {"block": "spiking", "levels": 1, "steps": 2},
}
SMALL = {"width": 2, "blocks_per_stage": [1, 1], "strides": [1, 2], "in_channels": 1, "input_scale": 0.25}
IMAGES = np.random.default_rng(0).integers(0, 5, (3, 1, 6, 6)).astype(np.uint8)


def written(name: str, folder: Path) -> artifact.Artifact:
    """An artifact of a network whose batch statistics are those of `IMAGES`."""
    torch.manual_seed(len(name))
    model = nn.build("resnet", {**SMALL, **NETWORKS[name]})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))
    samples = Samples(IMAGES, None)
    compiled = api.compile_module(model.eval(), "small", (1, 6, 6), largest=4, samples=samples)
    return artifact.read(api.write(compiled, load_chip("loihi1-sanafe"), folder / "small", forms=()).folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Expected]]:
    chip, folder = load_chip("loihi1-sanafe"), tmp_path_factory.mktemp("artifacts")
    every = {}
    for number, name in enumerate(NETWORKS):
        (folder / str(number)).mkdir()
        read = written(name, folder / str(number))
        assert read.samples is not None
        every[name] = expected(read.graph, read.samples.x, chip)
        np.testing.assert_array_equal(
            [one.logits for one in every[name]], interpreter.logits(read.graph, read.samples.x)
        )
    return every


def test_every_figure_is_equal(found: dict[str, list[Expected]], tmp_path: Path) -> None:
    ours = [one for samples in found.values() for one in samples]
    for one, theirs in zip(ours, simulated([one.description for one in ours], tmp_path), strict=True):
        check(one, theirs)
        assert theirs["neurons_fired"] > 50
