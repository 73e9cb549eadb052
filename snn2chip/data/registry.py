"""Every data set by name, file or function: one table, one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snn2chip.data import arrays, cifar, digits, event_cameras, event_digits, loader
from snn2chip.data.dataset import Dataset, Split, checked
from snn2chip.errors import UserError


@dataclass(frozen=True)
class Request:
    """What a source may need to know; see `load`."""

    root: Path | None = None
    steps: int | None = None
    size: int | None = None
    unchecked: bool = False


def _camera(camera: event_cameras.Camera, request: Request) -> Dataset:
    return event_cameras.load(camera, request.root, request.steps or 1, request.size)


def _cifar(edition: cifar.Edition, request: Request) -> Dataset:
    return cifar.load(edition, request.root, request.unchecked)


SOURCES: Mapping[str, Callable[[Request], Dataset]] = {
    "digits": lambda request: digits.load(),
    "event-digits": lambda request: event_digits.load(request.steps or 1),
    "cifar10": partial(_cifar, cifar.CIFAR10),
    "cifar100": partial(_cifar, cifar.CIFAR100),
    "cifar10-dvs": partial(_camera, event_cameras.CIFAR10_DVS),
    "dvs-gesture": partial(_camera, event_cameras.DVS_GESTURE),
    "n-mnist": partial(_camera, event_cameras.NMNIST),
}

_CAMERAS = ("cifar10-dvs", "dvs-gesture", "n-mnist")
_CIFAR = ("cifar10", "cifar100")

#: Those that come with the package or its dependencies, and need no files.
WITHOUT_FILES = ("digits", "event-digits")
#: Frames of them that a checkpoint may ask for: it may come from anyone.
MOST_SHIPPED_STEPS = 256


def load(
    source: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    steps: int | None = None,
    size: int | None = None,
    unchecked: bool = False,
) -> Dataset:
    """The data set that `source` names.

    Args:
        source: a name of `SOURCES`; the path of an ``.npz``, or of a folder of ``.npy`` files
            (`snn2chip.data.arrays`); or ``package.module:function`` (`snn2chip.data.loader`).
        root: where the files of a named data set are.
        steps: T, the frames that a recording is summed into (default 1). Images have no steps. Frames in a file
            have theirs, and it has to be this one where both are given.
        size: height and width of the frames of an event camera, at most the sensor's, which is the default.
        unchecked: take CIFAR files that are not the original ones.

    Raises: UserError, one sentence that names the source or file, and the mend; also for what has no effect on it.
    """
    request = Request(None if root is None else Path(root), steps, size, unchecked)
    _check_use(str(source), request)
    dataset = checked(_load(str(source), request))
    if steps is not None and dataset.steps not in (None, steps):
        raise UserError(f"{source}: it has {dataset.steps} frames per input, but the network takes {steps} steps")
    return dataset


def shipped_test_part(dataset: object, steps: object) -> Split | None:
    """The test part of a data set that needs no files, by what a checkpoint says of its training; None for others.

    Args:
        dataset: its name.
        steps: T of its frames, where it has frames.
    """
    if dataset not in WITHOUT_FILES:
        return None
    if isinstance(steps, int) and not 1 <= steps <= MOST_SHIPPED_STEPS:
        raise UserError(f"its metadata want {steps} frames of {dataset}: 1 to {MOST_SHIPPED_STEPS} are made")
    return load(str(dataset), steps=steps if isinstance(steps, int) else None).test


def _check_use(source: str, request: Request) -> None:
    """UserError for what was given without effect: who names a folder thinks that it is read."""
    named, file = source in SOURCES, Path(source).exists()
    if not (named or file or ":" in source):
        return  # there is no such data set: that is said first
    uses = {
        "root": request.root is not None and (source not in (*_CIFAR, *_CAMERAS) if named else file),
        "frame-size": request.size is not None and source not in _CAMERAS,
        "unchecked-data": request.unchecked and source not in _CIFAR,
    }
    for option, idle in uses.items():
        if idle:
            raise UserError(f"data set {source!r}: --{option} has no effect on it: leave it out")


def _load(source: str, request: Request) -> Dataset:
    if source in SOURCES:
        return SOURCES[source](request)
    if Path(source).exists():
        return arrays.load(Path(source))
    if ":" in source:
        return loader.load(source, request.root, request.steps)
    raise UserError(
        f"data set {source!r}: no such file, and no such name: give a path, package.module:function, or one of "
        f"{', '.join(SOURCES)}"
    )
