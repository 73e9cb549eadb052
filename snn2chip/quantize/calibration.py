"""Which inputs a network is calibrated on, and on which it is then compared with the float one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn2chip import data, interpreter
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph

#: More inputs than this make no difference that could be measured.
MOST_INPUTS = 512


@dataclass(frozen=True)
class CalibrationData:
    """Inputs for calibration and comparison.

    Attributes:
        inputs: to calibrate on, uint8, or None where there are none.
        comparison: what the networks are compared on: held out where `held_out`, else `inputs` again; None for none.
        held_out: whether nothing of `comparison` was used for calibration.
        source: where they come from, in words.
    """

    inputs: Array | None
    comparison: Samples | None
    held_out: bool
    source: str


def calibration_data(
    graph: Graph, metadata: Mapping[str, Any], given: Samples | None = None, seed: int = 0
) -> CalibrationData:
    """At most `MOST_INPUTS` of the given inputs, or of the training part of a data set that needs no files.

    Args: metadata, of the model file: its ``dataset`` and ``frames``; given, the user's own inputs.
    Raises: UserError where the given inputs do not fit the graph, or there are none.
    """
    test = data.shipped_test_part(metadata.get("dataset"), metadata.get("frames"))
    held_out = None if test is None else Samples(test.x, test.y)
    if given is not None:
        if not len(given):
            raise UserError("there are no inputs to calibrate on: give at least one")
        interpreter.as_frames(graph, given.x)  # refuses what does not fit
        interpreter.check_classes(graph, given.y)
        if not given.x.any():
            raise UserError("all values of x are 0, so nothing can be calibrated on them: give real inputs")
        chosen = _drawn(given, seed)
        source = f"{len(chosen)} given inputs"
    elif test is not None:
        train = training_part(metadata)
        assert train is not None  # there is a test part
        chosen = _drawn(train, seed)
        source = f"{len(chosen)} inputs of the training part of {metadata['dataset']}"
    else:
        return CalibrationData(None, None, False, "none")
    return CalibrationData(chosen.x, held_out or chosen, held_out is not None, source)


def training_part(metadata: Mapping[str, Any]) -> Samples | None:
    """The training part of the data set that a model file names; None where it needs files of the user's."""
    name, frames = metadata.get("dataset"), metadata.get("frames")
    if data.shipped_test_part(name, frames) is None:
        return None
    train = data.load(str(name), steps=frames if isinstance(frames, int) else None).train
    return Samples(train.x, train.y)


def _drawn(samples: Samples, seed: int) -> Samples:
    """At most `MOST_INPUTS` of the samples, drawn without replacement, in random order."""
    order = np.random.default_rng(seed).permutation(len(samples))[:MOST_INPUTS]
    return Samples(samples.x[order], None if samples.y is None else samples.y[order])
