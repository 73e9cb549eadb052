"""Data sets that a function of the user's loads: ``package.module:function``."""

from __future__ import annotations

from pathlib import Path

from snn2chip import user_code
from snn2chip.data.dataset import Dataset, as_split, numbered_classes
from snn2chip.errors import UserError


def load(source: str, root: Path | None, steps: int | None) -> Dataset:
    """What ``function(root=root, steps=steps)`` returns: a `Dataset`, or ``((x, y), (x, y))``, training part first.

    Modules in the current folder can be imported.

    Raises: UserError where there is no such function, it raises, or it returns something else.
    """
    with user_code.current_folder_importable():
        function = user_code.find(source, "--loader")
        try:
            returned = function(root=root, steps=steps)
        except Exception as error:  # somebody's code may raise anything
            detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(f"--loader {source!r}: calling it with root and steps failed ({detail})") from error
    if isinstance(returned, Dataset):
        return returned
    try:
        (train_x, train_y), (test_x, test_y) = returned
    except (TypeError, ValueError):
        raise UserError(
            f"--loader {source!r}: it returned a {type(returned).__name__}, but a snn2chip.data.Dataset or "
            "((x, y), (x, y)) is needed, training part first"
        ) from None
    train = as_split(f"{source} (training part)", train_x, train_y)
    test = as_split(f"{source} (test part)", test_x, test_y)
    names = numbered_classes(f"--loader {source!r}", train, test)
    largest = max(1, int(max(train.x.max(), test.x.max())))
    return Dataset(source, train, test, names, largest, f"returned by {source}")
