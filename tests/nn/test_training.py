"""Training: that it learns, and that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from snn2chip import nn as networks
from snn2chip.data import digits
from snn2chip.errors import UserError
from snn2chip.training import RECIPES, Recipe, recipes, train
from snn2chip.training.loop import Epoch, evaluate
from snn2chip.training.progress import reporting

EPOCHS = 30
TINY = dataclasses.replace(RECIPES["digits"], arch_kwargs={**RECIPES["digits"].arch_kwargs, "width": 4}, batch_size=128)

pytestmark = pytest.mark.usefixtures("one_thread")  # runs are compared bit by bit


def test_all_digits_recipes_share_one_shape_and_one_budget() -> None:
    neuron = {"block", "levels", "steps", "neuron", "bits", "barrier_backward"}
    budgets = []
    for recipe in [recipe for recipe in RECIPES.values() if recipe.dataset == "digits"]:
        budget = {key: value for key, value in recipe.as_dict().items() if key not in ("name", "label")}
        budget["arch_kwargs"] = {k: v for k, v in recipe.arch_kwargs.items() if k not in neuron}
        budgets.append(budget)
    assert all(budget == budgets[0] for budget in budgets)


def test_a_few_epochs_learn(tmp_path: Path) -> None:
    records: list[Epoch] = []
    result = train("digits", tmp_path / "model.pt", epochs=4, progress=lambda record, _: records.append(record))
    assert result.test_accuracy > 0.8
    assert [record.epoch for record in records] == [0, 1, 2, 3]
    best = max(records, key=lambda record: record.rank)
    assert (result.best_epoch, result.validation_accuracy) == (best.epoch, best.validation_accuracy)
    assert [json.loads(line) for line in result.log.read_text().splitlines()] == [r.as_dict() for r in records]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model.pt.log.jsonl"]


def test_the_checkpoint_holds_the_accuracy_that_it_has(tmp_path: Path) -> None:
    result = train(TINY, tmp_path / "model.pt", epochs=2)
    content = torch.load(result.path, weights_only=True)
    model = networks.build(content["arch"], content["arch_kwargs"])
    model.load_state_dict(content["state_dict"])
    assert evaluate(model, digits.load().test)[1] == content["accuracy"] == result.test_accuracy
    assert content["input_shape"] == [1, 8, 8]
    assert content["input_largest"] == 16
    assert content["class_names"] == list("0123456789")
    assert content["recipe"] == TINY.as_dict()


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_seed_fixes_the_weights_and_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train(TINY, tmp_path / "a.pt", seed=1, epochs=2)
    assert torch.equal(torch.rand(3), expected)
    assert same(weights(first.path), weights(train(TINY, tmp_path / "b.pt", seed=1, epochs=2).path))
    assert not same(weights(first.path), weights(train(TINY, tmp_path / "c.pt", seed=2, epochs=2).path))


SCRIPT = """
import dataclasses, sys, torch
from snn2chip.training import RECIPES, train
torch.set_num_threads(1)
base = RECIPES["digits"]
tiny = dataclasses.replace(base, arch_kwargs={**base.arch_kwargs, "width": 4}, batch_size=128)
train(tiny, sys.argv[1], epochs=int(sys.argv[2]))
"""


def kill_after(out: Path, lines: int) -> None:
    """Starts the training in a process of its own and kills it once its log has ``lines`` lines.

    Its output is a pipe, and nothing may be written into it.
    """
    log = out.with_name(out.name + ".log.jsonl")
    command = [sys.executable, "-c", SCRIPT, str(out), str(EPOCHS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= lines):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline, "the training wrote no log"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    assert (process.returncode, output) == (-signal.SIGKILL, b"")


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = train(TINY, tmp_path / "unbroken.pt", epochs=EPOCHS)
    out = tmp_path / "model.pt"
    out.write_text("an older checkpoint")
    kill_after(out, 2)
    kill_after(out, 6)
    assert out.read_text() == "an older checkpoint"
    records: list[Epoch] = []
    resumed = train(TINY, out, epochs=EPOCHS, progress=lambda record, _: records.append(record))
    assert 1 <= len(records) <= EPOCHS - 6
    assert same(weights(resumed.path), weights(unbroken.path))
    assert resumed.log.read_text() == unbroken.log.read_text()
    assert not out.with_name("model.pt.state").exists()


def interrupt(record: Epoch, epochs: int) -> None:
    raise KeyboardInterrupt


def interrupted(out: Path, recipe: Recipe = TINY) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out, epochs=3, progress=interrupt)


def test_the_state_of_another_run_is_refused_by_name(tmp_path: Path) -> None:
    interrupted(tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"model.pt.state was left by a run with another recipe, seed or number"):
        train(TINY, tmp_path / "model.pt", seed=1, epochs=3)


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04cut off"])
def test_a_damaged_state_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pt.state").write_bytes(content)
    with pytest.raises(UserError, match=r"model.pt.state is damaged or no training state; delete it"):
        train(TINY, tmp_path / "model.pt", epochs=1)


def test_a_checkpoint_in_the_place_of_a_state_is_refused(tmp_path: Path) -> None:
    networks.save(networks.build("resnet", TINY.arch_kwargs), tmp_path / "model.pt.state")
    with pytest.raises(UserError, match=r"model.pt.state is no training state"):
        train(TINY, tmp_path / "model.pt", epochs=1)


def test_starting_anew_ignores_the_state(tmp_path: Path) -> None:
    interrupted(tmp_path / "model.pt")
    records: list[Epoch] = []
    train(TINY, tmp_path / "model.pt", epochs=3, resume=False, progress=lambda record, _: records.append(record))
    assert len(records) == 3


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with reporting(None, "digits", epochs=5) as report:
            report(Epoch(2, 1e-3, 0.5, 0.1, 0.975), 5)
        shown = what_is_shown(master, until="3/5")
    os.close(master)
    assert "digits  validation 97.5 %" in shown
    assert "3/5" in shown


def what_is_shown(master: int, until: str) -> str:
    """What a terminal received, which the kernel hands over in pieces: up to the piece with `until`, or ten seconds."""
    shown, limit = "", time.monotonic() + 10
    while until not in shown and select.select([master], [], [], limit - time.monotonic())[0]:
        shown += os.read(master, 65536).decode(errors="replace")
    return shown


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Unknown recipe 'cifar'; known are digits, "):
        recipes.get("cifar")
    with pytest.raises(UserError, match="epochs must be at least 1, not 0"):
        train("digits", tmp_path / "model.pt", epochs=0)
