"""Qualia's energy estimate of networks that are described in files: a program of its own, run in ``.venv-qualia``.

    python qualia_program.py JOBS.npz ENERGIES.json

JOBS.npz holds ``jobs``, a JSON list of networks (see `Job`), and their arrays. ENERGIES.json gets a list of layers per
job. Scratch files of Qualia and Lightning go into the working directory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict

import numpy as np
import torch
from qualia_codegen_plugin_snn.graph import TorchModelGraph
from qualia_core.learningmodel.pytorch.layers import Add as FormalAdd
from qualia_plugin_snn.learningframework.SpikingJelly import SpikingJelly
from qualia_plugin_snn.learningmodel.pytorch.layers.spikingjelly.Add import Add
from qualia_plugin_snn.learningmodel.pytorch.layers.spikingjelly.GlobalSumPool2d import GlobalSumPool2d
from qualia_plugin_snn.learningmodel.pytorch.SNN import SNN
from qualia_plugin_snn.postprocessing.EnergyEstimationMetric import EnergyEstimationMetric
from spikingjelly.activation_based import layer as spiking
from spikingjelly.activation_based import neuron
from torch import nn


class Job(TypedDict):
    """One network.

    Attributes:
        nodes: ``{name, kind, inputs, ...}`` in order; kinds are those of `build`, the first input is ``x``.
        arrays: prefix of its arrays: ``<prefix>/x`` ``[B, C, H, W]``, ``<prefix>/<node>.weight`` and ``.bias``.
        steps: T; 0 for a network that does not spike.
        word: mem_width in bits.
        queue: fifo_size in words.
    """

    nodes: list[dict[str, Any]]
    arrays: str
    steps: int
    word: int
    queue: int


class MultiLevelIF(neuron.IFNode):  # type: ignore[misc]
    """IF that sends how many levels it passed, up to `levels`, and keeps the rest."""

    v: torch.Tensor

    def __init__(self, theta: float, levels: int) -> None:
        super().__init__(v_threshold=theta, v_reset=None)
        self.levels = levels

    def single_step_forward(self, x: torch.Tensor) -> torch.Tensor:
        charged = self.v + x
        spike = torch.clamp(torch.floor(charged / self.v_threshold), 0, self.levels)
        self.v = charged - spike * self.v_threshold
        return spike


TorchModelGraph.MODULE_MAPPING[MultiLevelIF] = TorchModelGraph.MODULE_MAPPING[neuron.IFNode]


def build(node: dict[str, Any], steps: int) -> Any:
    """The module of one node."""
    kind, layers = node["kind"], spiking if steps else nn
    if kind == "Conv2d":
        return layers.Conv2d(*node["channels"], node["kernel"], node["stride"], node["padding"], bias=node["biased"])
    if kind == "Linear":
        return layers.Linear(*node["channels"], bias=node["biased"])
    if kind == "MaxPool2d":
        return layers.MaxPool2d(node["kernel"], node["stride"])
    if kind == "Add":
        return Add() if steps else FormalAdd()
    if kind == "Flatten":
        return layers.Flatten()
    if kind == "SumPool2d":
        return GlobalSumPool2d()
    return build_neuron(node) if steps else nn.ReLU()


def build_neuron(node: dict[str, Any]) -> Any:
    """SpikingJelly's own neuron where it has one."""
    if node["kind"] == "LIF":
        return neuron.LIFNode(tau=node["tau"], decay_input=False, v_threshold=node["theta"], v_reset=None)
    if node["levels"] == 1:
        return neuron.IFNode(v_threshold=node["theta"], v_reset=None)
    return MultiLevelIF(node["theta"], node["levels"])


def wire(model: nn.Module, job: Job, arrays: dict[str, np.ndarray]) -> None:
    """Give `model` a submodule per node, with the weights of the file."""
    for node in job["nodes"]:
        module = build(node, job["steps"])
        for name, parameter in module.named_parameters():
            values = arrays[f"{job['arrays']}/{node['name']}.{name}"]
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(values.astype(np.float32)))
        model.add_module(node["name"], module)


def flow(model: nn.Module, job: Job, x: torch.Tensor) -> torch.Tensor:
    """The forward pass, node by node."""
    values = {"x": x}
    for node in job["nodes"]:
        values[node["name"]] = getattr(model, node["name"])(*(values[name] for name in node["inputs"]))
    return values[job["nodes"][-1]["name"]]


class Spiking(SNN):  # type: ignore[misc]
    """A spiking network, step by step."""

    def __init__(self, job: Job, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
        super().__init__(shape, (2,), job["steps"], {"kind": "IFNode", "params": {"v_reset": False}})
        self.job = job
        wire(self, job, arrays)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return flow(self, self.job, x)


class Formal(nn.Module):
    """The same layers with ReLUs."""

    def __init__(self, job: Job, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.job, self.input_shape = job, shape
        wire(self, job, arrays)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return flow(self, self.job, x)


class Metric(EnergyEstimationMetric):  # type: ignore[misc]
    """Qualia's metric, which keeps what it printed."""

    rows: list[Any]

    def _energy_summary(self, ems: list[Any]) -> str:
        self.rows = ems
        summary: str = super()._energy_summary(ems)
        return summary


def estimate(job: Job, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Qualia's rows, energies in nJ as it gives them, with the total as the last."""
    x = np.moveaxis(arrays[f"{job['arrays']}/x"].astype(np.float32), 1, -1)  # it takes channels last
    model = Spiking(job, arrays, x.shape[1:]) if job["steps"] else Formal(job, arrays, x.shape[1:])
    labels = np.zeros((len(x), 2), np.float32)  # asked for, and scored by nothing
    result = SimpleNamespace(
        name="network",
        model=model.eval(),
        testset=SimpleNamespace(x=x, y=labels),
        framework=SpikingJelly(enable_progress_bar=False, accelerator="cpu", devices=1),
        batch_size=len(x),
        dataaugmentations=[],
    )
    metric = Metric(mem_width=job["word"], fifo_size=job["queue"])
    metric(result, {})
    return [{**row.asnamedtuple()._asdict(), "is_sj": str(row.is_sj)} for row in metric.rows]


def main() -> None:
    jobs_file, energies_file = sys.argv[1:]
    with np.load(jobs_file) as found:
        arrays = dict(found)
    rows = [estimate(job, arrays) for job in json.loads(str(arrays.pop("jobs")))]
    Path(energies_file).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
