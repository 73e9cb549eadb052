"""NeuroBench's synaptic operations of networks that are described in a file: a program of its own, in ``.venv-peers``.

    python neurobench_program.py JOBS.npz COUNTS.json

JOBS.npz holds ``jobs``, a JSON list of networks: ``name``, ``steps`` and ``nodes`` (``{name, kind, inputs, ...}`` in
order; the first input is ``x``); and per network the arrays ``NAME/x`` ``[B, C, H, W]`` (shown at every step) and
``NAME/NODE.weight``. COUNTS.json gets per network NeuroBench's three figures, and the logits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neurobench.metrics.workload import SynapticOperations
from neurobench.models import SNNTorchModel
from torch import nn


class Neuron(nn.Module):
    """Integrate and fire up to `levels` per step, with a subtracting reset."""

    def __init__(self, theta: list[int], levels: int) -> None:
        super().__init__()
        self.theta, self.levels = torch.tensor(theta, dtype=torch.float32).reshape(-1, 1, 1), levels
        self.v: torch.Tensor | float = 0.0

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        v = self.v + current
        spikes = torch.floor(v / self.theta).clamp(0, self.levels)
        self.v = v - spikes * self.theta
        return spikes


class SumPool(nn.Module):
    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(spikes, self.window, divisor_override=1)


class Add(nn.Module):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first + second


def weighted(node: dict[str, Any], weight: np.ndarray) -> nn.Module:
    values = torch.from_numpy(weight.astype(np.float32))
    if node["kind"] == "linear":
        module: nn.Linear | nn.Conv2d = nn.Linear(values.shape[1], values.shape[0], bias=False)
    else:
        outputs, inputs, *kernel = values.shape
        shape = {key: node[key] for key in ("stride", "padding", "groups")}
        module = nn.Conv2d(inputs * node["groups"], outputs, kernel[0], bias=False, **shape)
    module.weight = nn.Parameter(values, requires_grad=False)
    return module


class Net(nn.Module):
    """The network, one step a call, as `SNNTorchModel` runs it."""

    def __init__(self, nodes: list[dict[str, Any]], weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.nodes = nodes
        self.layers = nn.ModuleDict({node["name"]: self._module(node, weights) for node in nodes})

    @staticmethod
    def _module(node: dict[str, Any], weights: dict[str, np.ndarray]) -> nn.Module:
        kinds: dict[str, type[nn.Module]] = {"flatten": nn.Flatten, "add": Add}
        if node["kind"] in kinds:
            return kinds[node["kind"]]()
        if node["kind"] == "neuron":
            return Neuron(node["theta"], node["levels"])
        return SumPool(node["window"]) if node["kind"] == "pool" else weighted(node, weights[node["name"]])

    def reset(self) -> None:
        for layer in self.layers.values():
            if isinstance(layer, Neuron):
                layer.v = 0.0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        values = {"x": x}
        for node in self.nodes:
            values[node["name"]] = self.layers[node["name"]](*(values[name] for name in node["inputs"]))
        return values[self.nodes[-1]["name"]], None


def counted(job: dict[str, Any], arrays: Any) -> dict[str, Any]:
    prefix = f"{job['name']}/"
    weights = {key[len(prefix) : -len(".weight")]: arrays[key] for key in arrays if key.startswith(prefix)}
    images = torch.from_numpy(arrays[f"{prefix}x"].astype(np.float32))
    model = SNNTorchModel(Net(job["nodes"], weights))
    model.register_hooks()
    data = images.unsqueeze(1).expand(-1, job["steps"], *images.shape[1:])
    with torch.no_grad():
        logits = model(data).sum(dim=1)
        metric = SynapticOperations()
        found = metric(model, logits, (images, None))
    return {**found, "logits": logits.to(torch.int64).tolist()}


def main() -> None:
    """`JOBS.npz` to `COUNTS.json`."""
    with np.load(sys.argv[1]) as arrays:
        results = {job["name"]: counted(job, arrays) for job in json.loads(str(arrays["jobs"]))}
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
