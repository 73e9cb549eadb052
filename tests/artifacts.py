"""Artifacts of shipped networks that take little time to write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from snn2chip import api
from snn2chip.artifact import Samples
from snn2chip.hw_models.chip import load_chip


def few(compiled: api.Compiled, count: int = 12) -> api.Compiled:
    """The same network with its first `count` samples, which have classes."""
    samples = compiled.samples
    assert samples is not None
    assert samples.y is not None
    return dataclasses.replace(compiled, samples=Samples(samples.x[:count], samples.y[:count]))


def written(compiled: api.Compiled, folder: Path, chip: str = "unit", forms: Sequence[str] = ()) -> Path:
    """An artifact, without exported forms where none are named: a simulation does not read them."""
    return api.write(compiled, load_chip(chip), folder, forms).folder
