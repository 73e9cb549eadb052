"""Data sets of one's own: ``.npz`` and ``.npy`` files of ``[B, C, H, W]`` or ``[B, T, C, H, W]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snn2chip import numpy_files
from snn2chip.data.dataset import Dataset, as_split, hold_out, numbered_classes
from snn2chip.errors import UserError

#: Of a file with one part, held out as its test part.
TEST_FRACTION = 0.25
TEST_SEED = 0
_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_NAMES = "class_names"
_LAYOUT = "x and y, or x_train, y_train, x_test and y_test, and optionally class_names"


def load(path: Path) -> Dataset:
    """The data set in an ``.npz``, or in a folder of ``.npy`` files, whose files are not read into memory.

    Its arrays are ``x_train, y_train, x_test, y_test``, or ``x, y``, of which a stratified quarter is the test part
    (seed 0, always the same). ``class_names``, an array of strings, is optional. A ``.npy`` stands for its folder.

    Raises: UserError naming the file and the mend.
    """
    folder = path.parent if path.suffix == ".npy" else path
    arrays = _folder(folder) if folder.is_dir() else numpy_files.read(path, (*_SPLIT, *_WHOLE, _NAMES))
    if all(name in arrays for name in _SPLIT):
        train = as_split(f"{path} (training part)", arrays["x_train"], arrays["y_train"])
        test = as_split(f"{path} (test part)", arrays["x_test"], arrays["y_test"])
        split = "its own split"
    elif all(name in arrays for name in _WHOLE):
        train, test = hold_out(as_split(str(path), arrays["x"], arrays["y"]), TEST_FRACTION, TEST_SEED)
        split = f"a quarter of it held out by class, seed {TEST_SEED}"
    else:
        found = ", ".join(sorted(arrays)) or "none of these"
        raise UserError(f"{path}: a data set needs the arrays {_LAYOUT}; found: {found}")
    names = _class_names(path, arrays[_NAMES]) if _NAMES in arrays else numbered_classes(str(path), train, test)
    largest = max(1, int(max(train.x.max(), test.x.max())))
    return Dataset(path.stem, train, test, names, largest, f"the file {path.name}, {split}")


def _folder(folder: Path) -> dict[str, Any]:
    found = {name: folder / f"{name}.npy" for name in (*_SPLIT, *_WHOLE, _NAMES)}
    return {name: numpy_files.read(file)["x"] for name, file in found.items() if file.exists()}


def _class_names(path: Path, names: Any) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise UserError(
            f"{path}: its class_names are {names.dtype} {names.shape}, not a row of strings: leave them out"
        )
    return tuple(map(str, names))
