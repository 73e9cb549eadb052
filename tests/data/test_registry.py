"""One call for every source: names, files and functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import data
from snn2chip.data import digits, registry
from snn2chip.errors import UserError


@pytest.mark.parametrize("name", data.SOURCES)
def test_every_name_is_a_data_set_or_says_what_it_needs(name: str) -> None:
    if name not in registry.WITHOUT_FILES:
        with pytest.raises(UserError, match=rf"^{name}: say .*--root DIR"):
            data.load(name)
        return
    loaded = data.load(name)
    assert (loaded.name, len(loaded.class_names)) == (name, 10)
    assert loaded.provenance


def test_the_digits_are_the_fixed_stratified_split() -> None:
    loaded = data.load("digits")
    assert loaded.train.x.shape == (1347, 1, 8, 8)
    assert loaded.test.x.shape == (450, 1, 8, 8)
    assert loaded.test.x.dtype == np.uint8
    assert (loaded.train.x.min(), loaded.train.x.max(), loaded.largest) == (0, 16, 16)
    share = np.bincount(loaded.test.y) / (np.bincount(loaded.test.y) + np.bincount(loaded.train.y))
    assert (abs(share - 0.25) < 0.01).all()
    assert np.array_equal(digits.load().test.x, loaded.test.x)
    assert not loaded.synthetic


def test_what_is_held_out_comes_out_of_the_part() -> None:
    train = digits.load().train
    kept, held = data.hold_out(train, 0.1, seed=3)
    assert (len(kept), len(held)) == (1212, 135)
    together = np.concatenate([kept.x, held.x]).reshape(1347, -1)
    assert sorted(map(bytes, together)) == sorted(map(bytes, train.x.reshape(1347, -1)))


def test_checkpoints_get_the_test_part_of_data_that_need_no_files() -> None:
    images = data.shipped_test_part("digits", None)
    frames = data.shipped_test_part("event-digits", 10)
    assert images is not None
    assert frames is not None
    assert np.array_equal(images.x, digits.load().test.x)
    assert frames.x.shape == (450, 10, 2, 20, 20)
    assert data.shipped_test_part("cifar10", None) is None
    assert data.shipped_test_part(None, None) is None


def test_what_is_not_known_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"data set 'imagenet': no such file, and no such name: .* digits, event-digits,"
    ):
        data.load("imagenet")


LOADER = """
import numpy as np
from snn2chip import data

def images(root, steps):
    x = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    return (x, [0, 1]), (x[:1], [1])

def frames(root, steps):
    part = data.Split(np.full((2, steps, 1, 2, 2), 3, np.uint8), np.array([0, 1]))
    return data.Dataset("mine", part, part, ("a", "b"), 3, f"files in {root}")

def nothing(root, steps):
    return None

def fails(root, steps):
    raise ZeroDivisionError("mine")
"""


@pytest.fixture
def loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, with a name that no other test uses."""
    monkeypatch.chdir(tmp_path)
    name = f"loaders_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(LOADER)
    return name


def test_a_function_returns_two_pairs(loaders: str) -> None:
    loaded = data.load(f"{loaders}:images")
    assert loaded.train.x.shape == (2, 3, 4, 5)
    assert loaded.test.y.tolist() == [1]
    assert (loaded.largest, loaded.class_names) == (119, ("0", "1"))


def test_a_function_gets_the_root_and_the_steps(loaders: str, tmp_path: Path) -> None:
    loaded = data.load(f"{loaders}:frames", root=tmp_path, steps=7)
    assert loaded.steps == 7
    assert loaded.provenance == f"files in {tmp_path}"


def test_a_function_that_is_not_there_or_returns_something_else_is_named(loaders: str) -> None:
    for source, sentence in (
        (f"{loaders}:missing", "has no 'missing': name a class or function in it"),
        (f"{loaders}:np.__version__", "it is a str: name a class or function"),
        ("no_such_package.module:load", "No module named 'no_such_package'.: start snn2chip in the folder"),
        (f"{loaders}:nothing", "it returned a NoneType, but a snn2chip.data.Dataset or"),
        (":load", "--loader ':load': write it as package.module:name"),
    ):
        with pytest.raises(UserError, match=sentence):
            data.load(source)


def test_an_error_of_the_function_is_named_and_kept_as_the_cause(loaders: str) -> None:
    with pytest.raises(UserError, match="ZeroDivisionError: mine") as refused:
        data.load(f"{loaders}:fails")
    assert isinstance(refused.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("source", "arguments", "option"),
    [
        ("digits", {"root": "here"}, "root"),
        ("event-digits", {"root": "here"}, "root"),
        ("event-digits", {"size": 12}, "frame-size"),
        ("cifar10", {"root": "here", "size": 16}, "frame-size"),
        ("n-mnist", {"root": "here", "unchecked": True}, "unchecked-data"),
        ("own.npz", {"root": "here"}, "root"),
        ("own.npz", {"size": 12}, "frame-size"),
        ("package.module:function", {"root": "here", "unchecked": True}, "unchecked-data"),
    ],
)
def test_what_has_no_effect_is_refused(
    source: str, arguments: dict[str, Any], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", x=np.zeros((8, 1, 2, 2), np.uint8), y=np.arange(8) % 2)
    with pytest.raises(UserError, match=f"^data set '{source}': --{option} has no effect on it: leave it out$"):
        data.load(source, **arguments)
