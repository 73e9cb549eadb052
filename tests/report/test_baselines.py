"""Which networks stand beside one's own, and on which samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snn2chip import api, artifact, nn, simulation, zoo
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from tests.artifacts import few, written

OWN_SAMPLES = "ten (T=10) was fed the samples of its own artifact, as frames of its own"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(few(api.compile_file(zoo.path("sparse-n4-t1"))), tmp_path_factory.mktemp("digits") / "own")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Event digits as one frame."""
    compiled = few(api.compile_file(zoo.path("sparse-n4-t1", dataset="event-digits")))
    return written(compiled, tmp_path_factory.mktemp("events") / "graded")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recordings as ten frames."""
    compiled = few(api.compile_file(zoo.path("binary-t10", dataset="event-digits")))
    return written(compiled, tmp_path_factory.mktemp("events") / "binary")


@pytest.mark.parametrize("name", zoo.FAIR_SETS["digits"])
def test_every_shipped_network_resolves_by_name(digits: Path, name: str) -> None:
    report = simulation.simulate(digits, "unit", baselines=[name])
    expected = [f"qann on {chip}" for chip in simulation.ANN_CHIPS] if name == "qann" else [name]
    assert [network.label for network in report.baselines] == expected
    wanted = api.compile_file(zoo.path(zoo.FAIR_SETS["digits"][name])).graph.digest
    assert {network.graph_digest for network in report.baselines} == {wanted}
    assert report.notes == (), "one budget, one shape, the same samples"


def test_a_label_stands_for_one_network(digits: Path) -> None:
    with pytest.raises(UserError, match="two networks would be called 'a'"):
        simulation.simulate(digits, "unit", baselines=[f"a={digits}", f"a={digits}"])
    own = artifact.read(digits).description.name
    with pytest.raises(UserError, match=f"two networks would be called '{own}'"):
        simulation.simulate(digits, "unit", baselines=[f"{own}={digits}"])


def test_none_beside_others_is_refused(digits: Path) -> None:
    with pytest.raises(UserError, match="baseline 'none' stands for no baselines at all: leave it out beside others"):
        simulation.simulate(digits, "unit", baselines=["none", "binary"])


def test_the_usual_ones_stand_there_unasked(digits: Path) -> None:
    labels = [network.label for network in simulation.simulate(digits, "unit").networks]
    assert labels == [
        "sparse-n4-t1-seed0",
        "binary",
        "binary-t1",
        "sew",
        *(f"qann on {c}" for c in simulation.ANN_CHIPS),
    ]


@pytest.mark.parametrize(("name", "chip"), simulation.ANN_FORMS.items())
def test_one_array_alone_by_name(digits: Path, name: str, chip: str) -> None:
    report = simulation.simulate(digits, "unit", baselines=[f"qann-{name}", f"own-{name}"])
    trained, derived = report.baselines
    assert (trained.chip.name, derived.chip.name) == (chip, chip)
    assert derived.graph_digest == report.own.graph_digest != trained.graph_digest
    assert [facts.origin for facts in report.about] == ["trained", "trained", "derived"]
    assert report.about[2].history == "sparse-n4-t1-seed0, executed as the quantized ANN that it is at T = 1"


def test_more_than_one_step_is_no_quantized_ann(binary: Path) -> None:
    with pytest.raises(UserError, match=r"baseline 'own-dense': at T=10 the network is no quantized ANN"):
        simulation.simulate(binary, "unit", baselines=["own-dense"])


def test_qualias_equations_meet_qualias_equations(digits: Path) -> None:
    report = simulation.simulate(digits, "lemaire-45nm-qualia", baselines=["qann"])
    chips = [network.chip.name for network in report.baselines]
    assert chips == [*simulation.ANN_CHIPS, "lemaire-45nm-qualia-dense"]


def test_every_network_says_where_it_comes_from(digits: Path) -> None:
    report = simulation.simulate(digits, "lemaire-45nm", baselines=["binary", "qann-dense"])
    assert [facts.history for facts in report.about] == ["60 epochs of digits from seed 0"] * 3
    assert all(facts.footprint.weights > 0 for facts in report.about)
    assert {source.key for source in report.about[2].sources} >= {"horowitz2014", "jouppi2017"}
    assert [item.label for item in report.break_even] == ["qann on dense-45nm"]
    assert [item.label for item in report.membrane] == ["sparse-n4-t1-seed0"]


def test_frames_of_another_number_are_those_of_the_baseline(graded: Path, binary: Path) -> None:
    report = simulation.simulate(graded, "unit", baselines=[f"ten={binary}"])
    own, ten = report.networks
    assert (own.steps, ten.steps, own.samples, ten.samples) == (1, 10, 12, 12)
    alone = simulation.simulate(binary, "unit", baselines=["none"]).own
    assert (ten.totals.events_out, ten.accuracy) == (alone.totals.events_out, alone.accuracy)
    assert report.notes == (f"{OWN_SAMPLES}: as many, of the same classes in the same order.",)


def test_other_recordings_are_said_to_be_others(graded: Path, binary: Path, tmp_path: Path) -> None:
    compiled = few(api.compile_file(zoo.path("binary-t10", dataset="event-digits")), 13)
    other = written(compiled, tmp_path / "other")
    notes = simulation.simulate(graded, "unit", baselines=[f"ten={other}"]).notes
    assert notes == (f"{OWN_SAMPLES}: of other classes, and so not the same ones.",)


def test_a_baseline_without_fitting_samples_is_refused(graded: Path, tmp_path: Path) -> None:
    compiled = api.compile_file(zoo.path("binary-t10", dataset="event-digits"))
    bare = written(api.Compiled(compiled.graph, "bare"), tmp_path / "bare")
    with pytest.raises(UserError, match=r"baseline 'ten': it takes T=10 frames, the samples have 1, and it holds none"):
        simulation.simulate(graded, "unit", baselines=[f"ten={bare}"])


def test_the_shipped_binary_network_stands_beside_event_digits(graded: Path) -> None:
    report = simulation.simulate(graded, "unit")
    assert [(network.label, network.steps, network.samples) for network in report.baselines] == [("binary", 10, 450)]


def test_a_network_of_ones_own_is_told_how_to_add_baselines(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.resnet(width=2, blocks_per_stage=[1], strides=[1], in_channels=1).eval()
    samples = Samples(np.random.default_rng(0).integers(0, 256, (3, 1, 6, 6)).astype(np.uint8))
    folder = written(api.compile_module(model, "mine", (1, 6, 6), samples=samples), tmp_path / "mine")
    (note,) = simulation.simulate(folder, "unit").notes
    assert "--baseline LABEL=DIR" in note
    assert "snn2chip baselines" in note
    assert simulation.simulate(folder, "unit", baselines=["none"]).notes == ()
    with pytest.raises(UserError, match=r"baseline 'ten=' is unknown: give LABEL=DIR, or one of binary, binary-t1"):
        simulation.simulate(folder, "unit", baselines=["ten="])
