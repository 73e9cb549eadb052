"""Qualia's own energy estimate, from its own program, equals our counts, term by term and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from snn2chip.hw_models import Chip, NetworkReport, load_chip, simulate
from snn2chip.hw_models.results import LayerRow
from snn2chip.lowering import to_populations
from tests.peers import qualia_networks as networks
from tests.peers.qualia_networks import Case

#: Qualia's terms, and how the names of our actions begin.
TERMS: Mapping[str, tuple[str, ...]] = {
    "mem_pot": ("potential_",),
    "mem_weights": ("weight_",),
    "mem_bias": ("bias_",),
    "mem_io": ("event_", "activation_"),
    "ops": ("accumulate", "multiply"),
    "addr": ("address",),
}


def cases() -> dict[str, Case]:
    graphs = {
        "sequential": networks.sequential(4),
        "sequential, images": networks.sequential(4, largest=16),
        "sequential, N=4 T=1": networks.sequential(1, 4, 16),
        "sequential, N=4 T=2": networks.sequential(2, 4, 16),
        "sequential, no biases": networks.sequential(2, biased=False),
        "SEW": networks.residual(4),
        "SEW, N=4 T=2": networks.residual(2, 4, 16),
        "barriers": networks.residual(4, barrier=True),
        "barriers, N=4 T=1": networks.residual(1, 4, 16, barrier=True),
        "chained sums": networks.chained(4),
        "currents that meet": networks.currents(4),
        "leaking": networks.leaking(3),
        "leaking, images": networks.leaking(3, 16),
    }
    found = {name: Case(graph, networks.images(graph)) for name, graph in graphs.items()}
    for word in (1, 8, 32):
        graph = networks.residual(4, seed=word)
        found[f"SEW, {word} bits"] = Case(graph, networks.images(graph), word)
    for name in ("sequential, N=4 T=1", "barriers, N=4 T=1"):
        found[f"{name}, formal"] = Case(found[name].graph, found[name].inputs, formal=True)
    return found


CASES = cases()
#: What Qualia prices an addition and a product at, where words have 8 bits.
EIGHT_BITS = "".join(
    f'{action} = {{ points = [[8, {price}]], x_unit = "bit", unit = "pJ", kind = "published-simulated", '
    'source = "horowitz2014" }\n'
    for action, price in {"accumulate": 0.03, "address": 0.03, "multiply": 0.2, "address_multiply": 0.2}.items()
)


@pytest.fixture(scope="module")
def estimates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return networks.estimate(CASES, queue=1000, folder=tmp_path_factory.mktemp("qualia"))


def chip(case: Case, folder: Path) -> Chip:
    parent = "lemaire-45nm-as-published" if case.word == 1 else "lemaire-45nm-qualia"
    parent += "-dense" if case.formal else ""
    text = f'name = "mine"\ntitle = "mine"\ninherits = "{parent}"\n'
    if case.word > 1:
        text += f'[words]\nword = {{ value = {case.word}, unit = "bit", kind = "published", source = "qualia" }}\n'
    text += f"[prices]\n{EIGHT_BITS}" if case.word == 8 else ""
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return load_chip(folder / "mine.toml")


def ours(row: LayerRow) -> dict[str, float]:
    """Our energies by Qualia's terms, in pJ, as Qualia has them."""
    return {
        term: math.fsum(found.energy.nominal for found in row.actions if found.action.startswith(begin)) * 1e12
        for term, begin in TERMS.items()
    }


def theirs(case: Case, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Qualia's energies by the population that a layer ends in; it appends the name of a neuron to its layer's."""
    network = to_populations(case.graph)
    ends = {found.node: population.name for population in network.populations for found in population.projections}
    sums: dict[str, dict[str, float]] = {}
    for row in rows[:-1]:
        names = [name for name in ends if row["name"] in (name, name + ends[name])]
        charged = {term: float(row[term]) for term in TERMS}
        if not names:  # sums, pools, and neurons that read neither layer
            assert sum(charged.values()) == 0
            continue
        home = sums.setdefault(ends[names[0]], dict.fromkeys(TERMS, 0.0))
        for term, energy in charged.items():
            home[term] += energy
    return sums


def report(name: str, folder: Path) -> NetworkReport:
    case = CASES[name]
    return simulate(case.graph, case.inputs, None, chip(case, folder))


@pytest.mark.parametrize("name", CASES)
def test_totals_are_equal(name: str, estimates: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    total = estimates[name][-1]
    assert total["name"] == "Total"
    expected = {term: pytest.approx(total[term], rel=1e-9) for term in TERMS}
    found = ours(report(name, tmp_path).totals)
    assert found == expected
    assert sum(found.values()) == pytest.approx(total["total"], rel=1e-9)
    assert total["total"] > 1e3


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.formal])
def test_layers_are_equal(name: str, estimates: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    expected = theirs(CASES[name], estimates[name])
    rows = {row.name: ours(row) for row in report(name, tmp_path).layers}
    charged = {layer for layer, terms in rows.items() if sum(terms.values()) > 0}
    assert charged == {layer for layer, terms in expected.items() if sum(terms.values()) > 0}
    assert len(charged) > 2
    for layer in charged:
        assert rows[layer] == {term: pytest.approx(energy, rel=1e-9) for term, energy in expected[layer].items()}


def test_the_paths_of_qualia_are_all_taken(estimates: dict[str, list[dict[str, Any]]]) -> None:
    kinds = {row["is_sj"] for rows in estimates.values() for row in rows[:-1]}
    assert kinds == {"True", "Hybrid", "False"}
    barriers = [row for row in estimates["barriers"] if row["name"].startswith(("bar", "sum"))]
    assert len(barriers) == 4
    assert all(row["total"] == 0 for row in barriers)
