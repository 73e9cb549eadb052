"""Small design spaces over shipped networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from snn2chip import zoo
from snn2chip.frontend import ImportOptions
from snn2chip.sweep import variants
from snn2chip.sweep.networks import Source, options_text
from snn2chip.sweep.points import Choice, Point, plan
from snn2chip.sweep.store import Store

#: Builds the network, and kills its process where that is a worker.
DEADLY = """
import multiprocessing, os, signal
from snn2chip.nn import resnet

def build(**keywords):
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return resnet(**keywords)
"""


def space(
    folder: Path,
    names: Sequence[str] = ("sparse-n4-t1", "binary-t4"),
    bits: Sequence[int] = (8, 4),
    chips: Sequence[str] = ("unit",),
    settings: Sequence[str] = (),
    samples: int = 32,
) -> tuple[Store, tuple[Point, ...]]:
    """A new store, or the one in `folder`, and the points of the space."""
    store = Store.create(folder)
    found = variants.variants(chips, [variants.parse(text) for text in settings], store.chips)
    variants.write(found)
    sources = [Source(str(zoo.path(name)), samples=samples) for name in names]
    return store, plan(sources, Choice(), bits, found)


def deadly(folder: Path) -> tuple[Store, tuple[Point, ...]]:
    """A point that kills every worker that computes it; `folder` must be importable."""
    checkpoint = torch.load(zoo.path("binary-t1"), weights_only=True)
    torch.save(checkpoint["state_dict"], folder / "weights.pt")
    (folder / "deadly.py").write_text(DEADLY)
    np.savez(folder / "x.npz", x=np.zeros((2, 1, 8, 8), dtype=np.uint8))
    options = ImportOptions("deadly:build", checkpoint["arch_kwargs"], (1, 8, 8), 16)
    source = Source(str(folder / "weights.pt"), options_text(options), inputs=str(folder / "x.npz"))
    return Store.create(folder / "store"), plan([source], Choice(), (8,), variants.variants(["unit"], [], folder))
