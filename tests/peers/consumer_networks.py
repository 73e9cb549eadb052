"""The networks of docs/nir-consumers.md, and what every consumer makes of their NIR files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snn2chip.exporters import FORMS, exporter
from snn2chip.graph import Graph, frozen
from snn2chip.interop import consumers
from snn2chip.interop.consumers import Job
from snn2chip.ops import LIF, MultiLevelIF
from tests.exporters.nir_networks import Net, images

#: What `python -m tests.peers.consumers_document` found last; the tests hold every consumer to it.
VERDICTS = Path(__file__).with_name("consumers.json")
SAMPLES = 12
#: Those whose maps are held to random networks and to every construct.
LIBRARIES = ("norse", "sinabs", "snntorch", "spikingjelly")
FILES = tuple(form for form in FORMS if form.partition("-")[0] == "nir")

#: Puts a neuron layer of so many channels on a current, with about such a threshold; returns its name.
Fire = Callable[[Net, str, int, int], str]


def _levels(net: Net, current: str, channels: int, theta: int) -> str:
    """Four levels, soft reset, a threshold for every channel."""
    thetas = net.rng.integers(max(1, theta // 2), theta + 1, channels)
    return net.put(MultiLevelIF(frozen(thetas, np.int32), 4), current)


def _binary(uniform: bool, net: Net, current: str, channels: int, theta: int) -> str:
    """One level, reset to 0, nothing leaks."""
    thetas = net.rng.integers(max(1, theta // 2), theta + 1, 1 if uniform else channels)
    theta_ = frozen(np.broadcast_to(thetas, channels), np.int32)
    return net.put(LIF(theta_, theta_, frozen(np.full(channels, 4096), np.int32), reset="zero"), current)


def _sequential(fire: Fire, net: Net) -> str:
    a = fire(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), 4, 1500)
    return fire(net, net.conv(a, 6, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 6, 300)


def _identity_skip(fire: Fire, net: Net) -> str:
    a = fire(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), 4, 1500)
    b = fire(net, net.same(fire(net, net.same(a), 4, 300)), 4, 300)
    return fire(net, net.conv(fire(net, net.add(a, b), 4, 1), 6, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 6, 300)


def _conv_skip(fire: Fire, net: Net) -> str:
    """The skip holds nodes of its own, and is written down before the main path."""
    a = fire(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), 4, 1500)
    skip = fire(net, net.conv(a, 6, 4, 1, 1, stride=(2, 2)), 6, 200)
    main = fire(net, net.conv(a, 6, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 6, 300)
    return fire(net, net.add(fire(net, net.same(main, 6), 6, 300), skip), 6, 1)


SHAPES: dict[str, Callable[[Fire, Net], str]] = {
    "sequential": _sequential,
    "identity skip": _identity_skip,
    "conv skip": _conv_skip,
}


@dataclass(frozen=True)
class Kind:
    """Networks of one sort of neuron over so many steps, and the forms in which NIR can hold them."""

    title: str
    steps: int
    fire: Fire
    forms: tuple[str, ...]

    def graph(self, shape: str) -> Graph:
        net = Net(2, 6, 6, seed=11)
        return net.head(SHAPES[shape](self.fire, net), 6, (3, 3), self.steps)


KINDS = (
    Kind("T = 1, N = 4", 1, _levels, ("nir", "nir-compact", "nir-snntorch")),
    Kind("T = 4, N = 1, reset to 0, one threshold a layer", 4, partial(_binary, True), ("nir",)),
    Kind("T = 4, N = 1, reset to 0, a threshold for every channel", 4, partial(_binary, False), ("nir",)),
    Kind("T = 4, N = 4, soft reset", 4, _levels, ("nir-composed", "nir-unrolled")),
)


def jobs(folder: Path) -> Iterator[tuple[str, Job]]:
    """Every file, written into `folder`: by kind, profile and shape."""
    for kind in KINDS:
        for shape in SHAPES:
            graph = kind.graph(shape)
            inputs = images(graph, SAMPLES)
            for form in kind.forms:
                written = exporter(form)
                place = folder / str(sum(1 for _ in folder.iterdir()))
                place.mkdir()
                written.write(graph, place)
                job = consumers.job(place / written.files[0], graph, inputs)
                yield f"{kind.title} | {job.profile} | {shape}", job


def differing(library: str, job: Job) -> int:
    """How many outputs of a file are not the interpreter's, in our map for `library`."""
    module = importlib.import_module(f"snn2chip.interop.{library}").load(job.path)
    state, found = None, 0
    for step, frame in enumerate(job.frames.swapaxes(0, 1)):
        with torch.no_grad():
            logits, state = module(torch.from_numpy(frame.astype(np.float32)), state)
        assert logits.shape[:2] == job.expected[:, step].shape
        found += int((logits.flatten(1).numpy() != job.expected[:, step]).sum())
    return found


def documented() -> dict[str, Any]:
    """``versions`` by distribution, and ``outcomes`` by consumer and file."""
    found: dict[str, Any] = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return found
