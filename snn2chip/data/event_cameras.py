"""CIFAR10-DVS, DVS128 Gesture and N-MNIST: recordings on the user's disk, read by the library ``tonic``.

Nothing is downloaded from here: tonic's data sets fetch what they miss, so that their files are looked for first.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2chip.data import frames_folder
from snn2chip.data.dataset import Dataset
from snn2chip.data.frames_folder import Geometry, Recording
from snn2chip.errors import UserError

#: Of each class of a data set without a split, in the order of the file names: the usual 9 to 1.
_TRAIN_FRACTION = 0.9
_UNREADABLE = (ValueError, OSError, RuntimeError, LookupError, EOFError, TypeError, AttributeError)


@dataclass(frozen=True)
class Part:
    """What tonic wants to find for one part: an archive, and enough files of a kind below a folder."""

    archive: str
    folder: str
    suffix: str
    files: int
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Camera:
    """A data set of tonic.

    Attributes:
        name, title: what `load` takes, and what people call it.
        dataset: the name of tonic's class, and of its folder below the root.
        sensor: ``(H, W)``.
        class_names: in the order of tonic's targets.
        parts: training and test part, or the whole where the data set has no split.
        packages: what has to be installed.
    """

    name: str
    title: str
    dataset: str
    sensor: tuple[int, int]
    class_names: tuple[str, ...]
    parts: tuple[Part, ...]
    packages: tuple[str, ...] = ("tonic",)


def _part(archive: str, folder: str, suffix: str, files: int, train: bool) -> Part:
    return Part(archive, folder, suffix, files, {"train": train})


NMNIST = Camera(
    name="n-mnist",
    title="N-MNIST",
    dataset="NMNIST",
    sensor=(34, 34),
    class_names=tuple(map(str, range(10))),
    parts=(_part("train.zip", "Train", ".bin", 10_000, True), _part("test.zip", "Test", ".bin", 10_000, False)),
)
DVS_GESTURE = Camera(
    name="dvs-gesture",
    title="DVS128 Gesture",
    dataset="DVSGesture",
    sensor=(128, 128),
    class_names=(
        "hand clapping",
        "right hand wave",
        "left hand wave",
        "right arm clockwise",
        "right arm counter-clockwise",
        "left arm clockwise",
        "left arm counter-clockwise",
        "arm roll",
        "air drums",
        "air guitar",
        "other gestures",
    ),
    parts=(
        _part("ibmGestureTrain.tar.gz", "ibmGestureTrain", ".npy", 100, True),
        _part("ibmGestureTest.tar.gz", "ibmGestureTest", ".npy", 100, False),
    ),
)
CIFAR10_DVS = Camera(
    name="cifar10-dvs",
    title="CIFAR10-DVS",
    dataset="CIFAR10DVS",
    sensor=(128, 128),
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    parts=(Part("CIFAR10DVS.zip", "", ".aedat4", 1000, {}),),
    packages=("tonic", "aedat"),
)


def load(camera: Camera, root: Path | None, steps: int, size: int | None = None) -> Dataset:
    """Frames uint8 ``[B, steps, 2, size, size]`` of counts, mapped into memory.

    They are summed once, one recording at a time, into a folder beside the recordings, which later calls read.

    Args:
        root: the folder in which tonic keeps the data set's folder (its ``save_to``).
        size: of the frames; by default the sensor's. Pixels are pooled by summing.

    Raises: UserError where tonic is not installed, or naming the file that it would miss or cannot read.
    """
    if root is None:
        raise UserError(f"{camera.name}: say with --root DIR which folder holds tonic's {camera.dataset}")
    shape = camera.sensor if size is None else (size, size)
    if not (1 <= steps <= 1000 and 1 <= min(shape) and max(shape) <= max(camera.sensor)):
        raise UserError(f"{camera.name}: {steps} frames of {shape}: choose 1..1000 frames, at most {camera.sensor}")
    folder = root / camera.dataset / f"frames-t{steps}-{shape[0]}x{shape[1]}"
    if not folder.exists():
        train, test = _recordings(camera, root)
        frames_folder.write(folder, Geometry(steps, shape, camera.sensor), train, test)
    provenance = f"{camera.title}, recordings read by tonic and summed into {steps} frames of equal duration"
    return frames_folder.read(folder, camera.name, camera.class_names, provenance)


def _recordings(camera: Camera, root: Path) -> tuple[list[Recording], list[Recording]]:
    _check_installed(camera)
    for part in camera.parts:
        _check_there(camera, root, part)
    parts = [_sorted(_opened(camera, root, part)) for part in camera.parts]
    if len(parts) == 2:
        return parts[0], parts[1]
    return _split(parts[0])


def _check_installed(camera: Camera) -> None:
    missing = [name for name in camera.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{camera.name}: the package {missing[0]!r}, which reads it, is not installed: "
            f"run 'pip install {' '.join(camera.packages)}'"
        )


def _check_there(camera: Camera, root: Path, part: Part) -> None:
    """Before tonic looks: it would download what it misses."""
    folder = root / camera.dataset
    found = sum(1 for _ in (folder / part.folder).rglob(f"*{part.suffix}"))
    if (folder / part.archive).is_file() and found >= part.files:
        return
    raise UserError(
        f"{folder}: tonic's {camera.dataset} is not complete there: {part.archive} and at least {part.files} "
        f"{part.suffix} files below {part.folder or 'it'} are needed, and {found} were found; "
        f"let tonic fetch it with tonic.datasets.{camera.dataset}({str(root)!r})"
    )


def _opened(camera: Camera, root: Path, part: Part) -> Any:
    import numpy.lib.recfunctions  # noqa: F401  # tonic uses it without importing it

    datasets: Any = importlib.import_module("tonic.datasets")
    return getattr(datasets, camera.dataset)(save_to=str(root), **part.arguments)


def _sorted(dataset: Any) -> list[Recording]:
    """In the natural order of the file names: the order of a folder differs between machines."""
    order = sorted(range(len(dataset)), key=lambda index: _natural(dataset.data[index]))
    return [Recording(dataset.data[index], _Reader(dataset, index), int(dataset.targets[index])) for index in order]


@dataclass(frozen=True)
class _Reader:
    dataset: Any
    index: int

    def __call__(self) -> Any:
        try:
            return self.dataset[self.index][0]
        except _UNREADABLE as error:
            raise UserError(f"tonic cannot read it ({type(error).__name__}: {error}): fetch it again") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in names count as numbers: cat_9 stands before cat_10."""
    pieces = re.split(r"(\d+)", str(name))
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]


def _split(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    train: list[Recording] = []
    test: list[Recording] = []
    for label in sorted({recording.label for recording in recordings}):
        members = [recording for recording in recordings if recording.label == label]
        limit = round(_TRAIN_FRACTION * len(members))
        train += members[:limit]
        test += members[limit:]
    return train, test
