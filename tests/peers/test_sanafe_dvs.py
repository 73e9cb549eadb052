"""SANA-FE's own DVS-gesture network on its own description of Loihi: 1,000 steps, every figure equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.peers import sanafe_dvs
from tests.peers.sanafe_runs import call
from tests.peers.test_sanafe import check_totals

STEPS = 1000


def test_every_figure_is_equal(tmp_path: Path) -> None:
    call(tmp_path, "dvs-data", "dvs.npz")
    call(tmp_path, "dvs", "theirs.json", str(STEPS), "simple")
    theirs = json.loads((tmp_path / "theirs.json").read_text(encoding="utf-8"))
    with np.load(tmp_path / "dvs.npz") as found:
        network = sanafe_dvs.gesture(dict(found))
    ours = sanafe_dvs.totals(network, sanafe_dvs.chip(tmp_path), STEPS)
    check_totals(ours, theirs)
    # What its authors state for these steps (tutorial 5), and what was measured with version 2.2.9.
    assert theirs["neurons_fired"] == 365_277
    assert (ours.updated, ours.synaptic_events, ours.packets) == (15_539_753, 51_549_374, 2_482_643)
    assert ours.synapse + ours.soma + ours.network == pytest.approx(3.4405706831e-3, rel=1e-9)
    assert ours.seconds == pytest.approx(23.9513447e-3, rel=1e-9)
