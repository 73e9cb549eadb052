"""No flipped bit and no truncation of a NIR file goes unseen: 600,000 changes, which take 40 s."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from snn2chip import artifact
from snn2chip.graph import frozen
from snn2chip.ops import MultiLevelIF
from tests.artifact.every_bit import missed, one_neuron


def test_every_bit_and_every_length_of_a_nir_file(tmp_path: Path) -> None:
    folder = one_neuron(MultiLevelIF(frozen([1], np.int32), 2), 1, tmp_path / "tiny-loihi2")
    entry = json.loads((folder / "manifest.json").read_text())["files"]["model.nir"]
    assert missed(folder / "model.nir", partial(artifact._check_file, folder, "model.nir", entry)) == []
    artifact.read(folder)
