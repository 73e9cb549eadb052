"""Random networks in every NIR profile that can hold them, run by the neurons of four libraries through our maps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from snn2chip.exporters import exporter
from snn2chip.interop import consumers
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.peers.consumer_networks import FILES, LIBRARIES, differing


def _check(case: Case, outcomes: Counter[str]) -> None:
    for name in FILES:
        form = exporter(name)
        if form.refusal(case.graph):
            outcomes[f"{name} refused"] += 1
            continue
        with TemporaryDirectory() as folder:
            form.write(case.graph, Path(folder))
            job = consumers.job(Path(folder) / form.files[0], case.graph, case.inputs)
            for library in LIBRARIES:
                assert differing(library, job) == 0, f"{library}: {name}"
        outcomes[f"{name} exact"] += 1


@pytest.mark.parametrize(
    ("limits", "profiles"),
    [
        ({"max_steps": 1, "max_levels": 8, "max_input": 32, **EVERYTHING}, ("nir", "nir-compact", "nir-snntorch")),
        ({"only_hard_reset": True}, ("nir",)),
        ({"max_levels": 8, "allow_leaky": False}, ("nir", "nir-composed", "nir-unrolled")),
    ],
    ids=["one step", "reset to 0", "soft reset"],
)
def test_random_networks_are_exact_wherever_a_profile_holds_them(
    limits: dict[str, Any], profiles: tuple[str, ...]
) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=25)
    @given(cases(max_batch=2, **limits))
    def check(case: Case) -> None:
        _check(case, outcomes)

    check()
    for name in profiles:
        assert outcomes[f"{name} exact"] >= 5, outcomes
