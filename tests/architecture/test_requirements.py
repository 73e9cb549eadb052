"""The lock serves every machine and every supported Python, and holds what pyproject.toml asks for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def locked(root: Path) -> list[Requirement]:
    return [Requirement(line) for line in (root / "requirements" / "lock.txt").read_text().splitlines()]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_what_is_asked_for_is_locked_once(root: Path, locked: list[Requirement], python: str) -> None:
    content = tomllib.loads((root / "pyproject.toml").read_text())
    machine = {"python_version": python, "python_full_version": python + ".0", "sys_platform": "linux"}
    wanted = map(Requirement, content["project"]["dependencies"] + content["dependency-groups"]["test"])
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate(machine):
            continue
        pins = [
            next(iter(pin.specifier)).version
            for pin in locked
            if pin.name == requirement.name and (pin.marker is None or pin.marker.evaluate(machine))
        ]
        assert len(pins) == 1, f"{requirement} on Python {python}: run `make lock`"
        assert requirement.specifier.contains(pins[0]), f"{requirement} is locked at {pins[0]}: run `make lock`"


def test_the_lock_knows_no_machine(locked: list[Requirement]) -> None:
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in locked)
    assert not [str(pin) for pin in locked if pin.url or "+" in str(pin.specifier)]


def test_torchvision_is_kept_out(locked: list[Requirement]) -> None:
    (pin,) = [pin for pin in locked if pin.name == "torchvision"]
    assert pin.marker is not None
    assert not pin.marker.evaluate()
