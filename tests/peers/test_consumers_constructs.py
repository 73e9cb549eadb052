"""Our node maps on every construct that NIR can say, in every profile: each logit of each step is the interpreter's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snn2chip.exporters import exporter
from snn2chip.graph import Graph, Node, frozen
from snn2chip.interop import consumers
from snn2chip.ops import LIF, Conv2d, Flatten, Input, Readout
from snn2chip.spec import MEMBRANE_LIMIT, check_integer
from tests.exporters import ecosystem, nir_networks
from tests.exporters.nir_networks import images
from tests.peers.consumer_networks import FILES, LIBRARIES, differing

#: Leaks, delayed resets, floors and maxima of currents are for one step only, in NIR; maxima of wide counts for none.
_SEVERAL_STEPS = ("hard_reset", "small_maxima", "concatenations")


def _over_time(make: Callable[[], Graph]) -> Graph:
    graph = Graph(make().nodes, 2)
    check_integer(graph)
    return graph


_NETWORKS: dict[str, Callable[[], Graph]] = {
    **nir_networks.NETWORKS,
    **{f"{name}, T = 2": partial(_over_time, make) for name, make in nir_networks.NETWORKS.items()},
    **{f"{name}, T = 1": partial(make, 1) for name, make in ecosystem.NETWORKS.items() if name != "maxima"},
    **{f"{name}, T = 3": partial(ecosystem.NETWORKS[name], 3) for name in _SEVERAL_STEPS},
}


@pytest.mark.parametrize("name", _NETWORKS)
def test_every_library_computes_every_profile(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    graph = _NETWORKS[name]()
    inputs = images(graph, 6)
    written = [exporter(form) for form in FILES if exporter(form).refusal(graph) is None]
    assert written
    for form in written:
        folder = tmp_path_factory.mktemp("form")
        form.write(graph, folder)
        job = consumers.job(folder / form.files[0], graph, inputs)
        for library in LIBRARIES:
            assert differing(library, job) == 0, (form.name, library)


@pytest.mark.parametrize("library", LIBRARIES)
def test_potentials_at_both_ends_of_24_bits(library: str, tmp_path: Path) -> None:
    """Negative potential piles up to the last integer; the largest threshold is met, or missed by one."""
    quarter = MEMBRANE_LIMIT // 4
    weight = frozen(np.array([-1, 1, 1, 0, 1]).reshape(5, 1, 1, 1), np.int8)
    bias = frozen([3 - quarter, quarter - 3, quarter - 3, quarter, 1], np.int32)
    theta = frozen([1, 4 * quarter, 4 * quarter + 1, 4 * quarter, 4], np.int32)
    keeps_all = frozen([4096] * 5, np.int32)
    nodes = (
        Node("x", Input((1, 1, 1), 3)),
        Node("c", Conv2d(weight, bias), ("x",)),
        Node("n", LIF(theta, theta, keeps_all, reset="zero"), ("c",)),
        Node("flat", Flatten(), ("n",)),
        Node("logits", Readout(), ("flat",)),
    )
    graph = Graph(nodes, 4)
    check_integer(graph)
    exporter("nir").write(graph, tmp_path)
    job = consumers.job(tmp_path / "model.nir", graph, np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1))
    assert job.expected.sum(axis=(0, 1)).tolist() == [0, 1, 0, 4, 1 + 2 + 2 + 4]
    assert differing(library, job) == 0
