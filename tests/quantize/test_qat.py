"""Fine-tuning through the integer semantics: what is trained is what is exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from snn2chip import cli, engine, frontend, zoo
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph, Node, frozen, parameters
from snn2chip.interpreter import as_frames
from snn2chip.quantize.choices import Choices, Precision
from snn2chip.quantize.integer import Rounding, prepare, quantize
from snn2chip.quantize.qat import FineTuning, fine_tune
from snn2chip.quantize.quantized_file import read_quantized
from snn2chip.quantize.straight_through import spike_count
from snn2chip.quantize.trainable import Trainable
from tests.differential.strategies import EVERY_OP, Case, cases


def _real(node: Node) -> Node:
    """The node as it would stand in a float graph."""
    arrays = {name: array / (4096 if name == "decay" else 1) for name, array in parameters(node.op).items()}
    return replace(node, op=replace(node.op, **{n: frozen(a, np.float64) for n, a in arrays.items()}))  # type: ignore[type-var]


def _prepared(case: Case) -> Graph:
    """Draws whose neurons on spikes have thresholds that no unit fits are left out."""
    try:
        return prepare(Graph(tuple(map(_real, case.graph.nodes)), case.graph.steps)).graph
    except GraphError:
        reject()


@settings(max_examples=100)
@given(cases(max_steps=3, max_input=20, **EVERY_OP), st.integers(2, 8), st.integers(0, 2**16))
def test_it_computes_the_integers_that_it_exports(case: Case, bits: int, seed: int) -> None:
    network, precision = _prepared(case), Precision(bits)
    try:
        model = Trainable(network, precision, Choices())
    except GraphError:
        reject()
    _assert_exported(model, precision, case)
    with torch.no_grad():  # as training would
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.mul_(1 + 0.02 * torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype))
    _assert_exported(model, precision, case)


def _assert_exported(model: Trainable, precision: Precision, case: Case) -> None:
    network, choices = model.export()
    try:
        integer = Rounding(network, precision, choices).graph()
    except GraphError as error:
        if "24 bits" not in str(error) and "32 bits" not in str(error):
            raise
        reject()  # the drawn network filled its ranges before it was changed
    if not all(np.array_equal(np.asarray(integer[name].unit), unit) for name, unit in choices.units.items()):
        reject()  # the same: a unit had to be coarsened
    frames = torch.from_numpy(as_frames(network, case.inputs).copy())
    found = engine.run(integer, case.inputs).sum(axis=1, dtype=np.int64)
    assert (model.counts(frames).detach().numpy() == found).all()


@given(st.integers(1, 7), st.integers(1, 30), st.integers(0, 2**16))
def test_the_gradient_of_a_count_is_that_of_the_smoothed_count(levels: int, theta: int, seed: int) -> None:
    def smoothed(v: Array, level: float) -> Array:
        clipped: Array = np.clip(v / level - 0.5, 0, levels)
        return clipped

    v = np.random.default_rng(seed).uniform(-theta, (levels + 2) * theta, 50)
    v = v[np.abs(v / theta - 0.5 - np.clip(np.rint(v / theta - 0.5), 0, levels)) > 1e-3]  # away from the kinks
    potential, level = (
        torch.tensor(v, requires_grad=True),
        torch.tensor([float(theta)], dtype=torch.float64, requires_grad=True),
    )
    spikes = spike_count(potential, level, level, levels)
    assert (spikes.detach().numpy() == np.clip(np.floor(v / theta), 0, levels)).all()
    spikes.sum().backward()  # type: ignore[no-untyped-call]
    step = 1e-6
    by_potential = (smoothed(v + step, theta) - smoothed(v - step, theta)) / (2 * step)
    by_level = (smoothed(v, theta + step) - smoothed(v, theta - step)).sum() / (2 * step)
    assert potential.grad is not None
    assert level.grad is not None
    np.testing.assert_allclose(potential.grad.numpy(), by_potential, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(level.grad.item(), by_level, rtol=1e-4, atol=1e-4)


def _digits_network() -> tuple[Graph, Case, Array]:
    checkpoint = frontend.read(zoo.path("sparse-n4-t1"))
    network = prepare(frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest)).graph
    from sklearn.datasets import load_digits

    raw = load_digits()
    return network, Case(network, raw.images.astype(np.uint8)[:, None]), raw.target


def test_two_bits_are_enough_after_fine_tuning() -> None:
    network, case, labels = _digits_network()
    seen, unseen = slice(0, 1200), slice(1200, None)
    before = engine.run(Rounding(network, Precision(2), Choices()).graph(), case.inputs[unseen])
    lines: list[str] = []
    tuned = fine_tune(
        network, Precision(2), Choices(), case.inputs[seen], labels[seen], FineTuning(epochs=3), report=lines.append
    )
    after = engine.run(tuned.integer, case.inputs[unseen])
    assert (before.sum(axis=1).argmax(axis=1) == labels[unseen]).mean() < 0.6
    assert (after.sum(axis=1).argmax(axis=1) == labels[unseen]).mean() > 0.8
    assert len(lines) == 3
    assert quantize(tuned.network, Precision(2), tuned.choices).digest == tuned.integer.digest


def test_the_same_seed_gives_the_same_integers() -> None:
    network, case, labels = _digits_network()
    runs = [
        fine_tune(network, Precision(3), Choices(), case.inputs[:200], labels[:200], FineTuning(epochs=2)) for _ in "ab"
    ]
    assert runs[0].integer.digest == runs[1].integer.digest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epochs": 0}, "at least 1 epoch"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"batch_size": 0}, "1 sample"),
        ({"learning_rate": -1.0}, "above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        FineTuning(**change)  # type: ignore[arg-type]


def test_labels_that_do_not_fit_are_refused() -> None:
    network, case, labels = _digits_network()
    with pytest.raises(UserError, match="20 inputs and 19 labels"):
        fine_tune(network, Precision(4), Choices(), case.inputs[:20], labels[:19])


def test_labels_of_other_classes_are_refused() -> None:
    network, case, labels = _digits_network()
    with pytest.raises(UserError, match=r"the labels y hold 99, but this network has the classes 0\.\.9"):
        fine_tune(network, Precision(4), Choices(), case.inputs[:40], labels[:40] + 90)


@pytest.mark.parametrize("option", [("--qat-epochs", "3"), ("--qat-data", "x.npz"), ("--qat-seed", "1")])
def test_options_without_effect_are_refused(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["quantize", str(zoo.path("sparse-n4-t1")), *option]) == 2
    assert f"{option[0]} has no effect without --qat" in capsys.readouterr().err


def test_thresholds_that_are_shifts_are_not_fine_tuned() -> None:
    network, case, labels = _digits_network()
    with pytest.raises(UserError, match="powers of two"):
        fine_tune(network, Precision(4), Choices(shift_thresholds=True), case.inputs[:20], labels[:20])


def test_the_command_fine_tunes_and_writes_what_export_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "m.safetensors", tmp_path / "m.json"
    model = str(zoo.path("sparse-n4-t1"))
    options = ["--bits", "2", "--qat", "--qat-epochs", "3", "--out", str(out), "--json", str(report)]
    assert cli.main(["quantize", model, *options]) == 0
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["fine_tuning"]["settings"]["epochs"] == 3
    assert len(document["fine_tuning"]["held_out_accuracy"]) == 4
    assert document["cost"]["agreement"]["integer_accuracy"] > 0.9
    assert document["graph_digest"] == read_quantized(out).digest
    assert "% before, " in capsys.readouterr().out


def test_fine_tuning_without_classes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "x.npz"
    np.savez(inputs, x=np.zeros((4, 1, 8, 8), np.uint8))
    model, out = str(zoo.path("sparse-n4-t1")), str(tmp_path / "m.safetensors")
    assert cli.main(["quantize", model, "--qat", "--qat-data", str(inputs), "--out", out]) == 2
    assert "give an .npz with x and y" in capsys.readouterr().err
    assert not (tmp_path / "m.safetensors").exists()
