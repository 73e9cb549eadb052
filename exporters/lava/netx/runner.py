"""Runs a netx file with lava-dl's own loader; called by the worker, in Lava's Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from snn2chip.exporters.lava import joined
from snn2chip.exporters.lava.watch import Starter

#: What the loader imports from lava-dl's training half, which needs PyTorch; only resonate-and-fire neurons call it.
_TRAINING = ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")
_UNUSED = "lava.lib.dl.netx.sequential_modules"


def run_job(job: dict[str, Any], starter: Starter) -> dict[str, Any]:
    """Runs ``job``, a document of `joined.document` with `arguments` of `Network` and the folder `lava_dl`.

    Raises: RunFailed where a process died or the time ran out, ImportError where lava-dl's loader is missing.
    """
    network = _loader(Path(job["lava_dl"])).Network(net_config=job["form"], **job["arguments"])
    lags = [index + job["arguments"]["reset_offset"] for index in range(len(network.layers))]
    feed, models = _joined(network, job, lags)
    return joined.execute(feed, models, job["samples"] * job["steps"] + lags[-1], job, starter)


def _loader(folder: Path) -> Any:
    """`lava.lib.dl.netx.hdf5`, with what only training needs left out."""
    sys.path.append(str(folder))
    parent = importlib.import_module("lava.lib.dl")
    inside = str(Path(next(iter(parent.__path__))) / "netx" / "__init__.py")
    for name in (*_TRAINING, _UNUSED):
        stub = ModuleType(name)
        # Lava's compiler looks for process models beside the file of a module, and wants one of each.
        stub.__file__, stub.__path__ = inside, []
        stub.__dict__["neuron_params"] = None
        sys.modules[name] = stub
    return importlib.import_module("lava.lib.dl.netx.hdf5")


def _joined(network: Any, job: Mapping[str, Any], lags: list[int]) -> tuple[Any, dict[Any, Any]]:
    """The process that feeds the network, and the models of the processes that are ours."""
    from snn2chip.exporters.lava.taps import Probe, ProbeModel, Tap, TapModel

    options: dict[str, Any] = {"failure_file": Path(job["output"]) / "failure.json"}
    feed, model = _feed(network, job, options)
    models: dict[Any, Any] = {feed: model}
    names = [*job["record"], *([job["logits"]] if len(job["record"]) < len(network.layers) else [])]
    for name, layer, lag in zip(names, network.layers, lags, strict=True):
        path, shape = Path(job["files"][name]), tuple(np.load(job["files"][name], mmap_mode="r").shape[2:])
        if name == job["logits"]:
            probe = Probe(path, lag, shape, name=f"{name} observed", **options)
            probe.ref.connect_var(layer.neuron.v)
            models[probe] = ProbeModel
        else:
            tap = Tap(path, lag, shape, name=f"{name} observed", **options)
            layer.out.connect(tap.a_in)
            models[tap] = TapModel
    return feed, models


def _feed(network: Any, job: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Spikes go into the first synapses; where the first layer has neurons only, lava-dl sets their biases instead."""
    from snn2chip.exporters.lava.taps import Driver, DriverModel, Feed, FeedModel, Frames

    shape = tuple(int(size) for size in network.inp.shape[::-1])
    frames = Frames(_inputs(job, shape), job["steps"], shape)
    if job["arguments"]["reset_offset"]:
        feed = Feed(frames, name="input", **options)
        feed.a_out.connect(network.inp)
        return feed, FeedModel
    driver = Driver(frames, name="input", **options)
    bias = network.in_layer.neuron.bias_mant
    bias.init = frames.at(0)
    driver.ref.connect_var(bias)
    return driver, DriverModel


def _inputs(job: Mapping[str, Any], shape: tuple[int, ...]) -> Path:
    """The inputs, flattened where the network begins with a dense layer, which the loader gives a flat port."""
    path = Path(job["inputs"])
    frames = np.load(path)
    leading = frames.ndim - len(job["shape"])
    if frames.shape[leading:] != shape:
        np.save(path, frames.reshape(*frames.shape[:leading], *shape))
    return path
