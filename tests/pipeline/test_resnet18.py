"""The CIFAR-sized network without CIFAR data: random weights, batch statistics from random images.

It says nothing about accuracy. It shows that a Sparse-ResNet-18 of full size goes the whole way, and stays exact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snn2chip import api, nn, simulation
from snn2chip.hw_models.chip import load_chip

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 3, 32, 32)).astype(np.uint8)


def calibrated(steps: int) -> torch.nn.Module:
    """Width 64, 3x32x32, with the running statistics of two passes over `IMAGES`."""
    torch.manual_seed(0)
    model = nn.build("resnet", {"block": "sparse", "levels": 4, "steps": steps})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average over the passes
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.from_numpy(IMAGES))
    return model.eval()


@pytest.mark.parametrize("steps", [1, 4])
def test_exports_verifies_exact_and_simulates(tmp_path: Path, steps: int) -> None:
    compiled = api.compile_module(calibrated(steps), "resnet18", (3, 32, 32))
    exported = api.write(compiled, load_chip("loihi2"), tmp_path / "resnet18-loihi2")
    results = exported.certificate.results
    assert {result.form for result in results} == {"torch", "nir", "onnx", "lava"}
    assert all((result.status, len(result.layers)) == ("EXACT", 29) for result in results)
    assert not exported.certificate.on_real_inputs

    np.savez(tmp_path / "images.npz", x=IMAGES[:2])
    report = simulation.simulate(exported.folder, inputs=tmp_path / "images.npz")
    (network,) = report.networks
    assert network.latency.steps == steps + max(layer.depth for layer in network.layers) - 1
    assert network.totals.synaptic_operations > 1e8
    assert network.accuracy is None
