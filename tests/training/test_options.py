"""Mixed precision, devices, logs and several seeds."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import statistics
from pathlib import Path

import pytest
import torch
from torch import nn

from snn2chip import data
from snn2chip import nn as networks
from snn2chip.data import Dataset, Split, digits
from snn2chip.errors import UserError
from snn2chip.training import RECIPES, Options, precision, train, train_seeds
from snn2chip.training.loop import Epoch, Trainer
from snn2chip.training.precision import Precision

TINY = dataclasses.replace(RECIPES["digits"].with_network(width=4), batch_size=64)
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")  # runs are compared bit by bit


@pytest.fixture(scope="module")
def few() -> Dataset:
    """The first 300 training and 50 test images."""
    images = digits.load()
    train, test = Split(images.train.x[:300], images.train.y[:300]), Split(images.test.x[:50], images.test.y[:50])
    return dataclasses.replace(images, train=train, test=test)


def interrupt(record: Epoch, epochs: int) -> None:
    if record.epoch == 1:
        raise KeyboardInterrupt


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_in_mixed_precision_convolutions_alone_compute_in_16_bits() -> None:
    model = networks.build("resnet", TINY.arch_kwargs)
    mixed = Precision(CPU, mixed=True)
    mixed.prepare(model)
    seen: dict[type[nn.Module], set[torch.dtype]] = {}
    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda layer, inputs, output: seen.setdefault(type(layer), set()).update(
                    {inputs[0].dtype, output.dtype}
                )
            )
    with mixed.forward():
        model(torch.rand(2, 1, 8, 8))
    assert torch.bfloat16 in seen[nn.Conv2d]
    assert seen[networks.MultiLevelIF] == {torch.float32}
    assert seen[nn.BatchNorm2d] == {torch.float32}


def test_a_run_in_mixed_precision_learns_and_goes_on_where_it_was_broken_off(few: Dataset, tmp_path: Path) -> None:
    options = Options(amp=True)
    unbroken = train(TINY, tmp_path / "a.pt", epochs=4, dataset=few, options=options)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "b.pt", epochs=4, dataset=few, options=options, progress=interrupt)
    with pytest.raises(UserError, match="was left by a run with another recipe"):
        train(TINY, tmp_path / "b.pt", epochs=4, dataset=few)
    train(TINY, tmp_path / "b.pt", epochs=4, dataset=few, options=options)
    assert same(weights(tmp_path / "a.pt"), weights(tmp_path / "b.pt"))
    losses = [json.loads(line)["train_loss"] for line in unbroken.log.read_text().splitlines()]
    assert losses[-1] < losses[0]
    plain = train(TINY, tmp_path / "c.pt", epochs=4, dataset=few)
    assert not same(weights(plain.path), weights(unbroken.path)), "16 bits round"


def test_float16_scales_the_loss_and_leaves_out_steps_that_overflow() -> None:
    """What a GPU does, on the CPU: no GPU was at hand."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaled = Precision(CPU, mixed=True, dtype=torch.float16)
    inputs = torch.rand(8, 4)
    with scaled.forward():
        loss = layer(inputs).float().square().mean()
    expected = [value - 0.1 * slope for value, slope in _slopes(layer, inputs)]
    scaled.step(loss, optimizer)
    for value, wanted in zip(layer.parameters(), expected, strict=True):
        assert torch.allclose(value, wanted, atol=1e-3)
    before, scale = [value.clone() for value in layer.parameters()], scaled.state_dict()["scale"]
    with scaled.forward():
        scaled.step(layer(inputs).float().sum() * torch.inf, optimizer)
    assert all(map(torch.equal, before, layer.parameters()))
    assert scaled.state_dict()["scale"] == scale / 2
    resumed = Precision(CPU, mixed=True, dtype=torch.float16)
    resumed.load_state_dict(scaled.state_dict())
    assert resumed.state_dict() == scaled.state_dict()


def _slopes(layer: nn.Linear, inputs: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    parameters = list(layer.parameters())
    return list(zip(parameters, torch.autograd.grad(layer(inputs).square().mean(), parameters), strict=True))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gpu", "device 'gpu' is unknown: give auto, cpu, cuda or cuda:N"),
        ("meta", "device 'meta' is not supported"),
        ("cuda:99", r"device 'cuda:99' is not there: this machine has \d+ CUDA devices"),
    ],
)
def test_a_device_that_is_not_there_is_named(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        precision.device(name)
    assert precision.device("cpu") == CPU
    assert precision.device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_csv_holds_what_the_lines_hold_also_after_an_interruption(few: Dataset, tmp_path: Path) -> None:
    options = Options(logs=("csv",))
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "m.pt", epochs=4, dataset=few, options=options, progress=interrupt)
    train(TINY, tmp_path / "m.pt", epochs=4, dataset=few, options=options)
    lines = [json.loads(line) for line in (tmp_path / "m.pt.log.jsonl").read_text().splitlines()]
    with (tmp_path / "m.pt.log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == lines
    assert len(rows) == 4


def test_tensorboard_is_written_where_it_is_installed_and_asked_for_where_not(few: Dataset, tmp_path: Path) -> None:
    options = Options(logs=("tensorboard",))
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(UserError, match="the package is not installed: run 'pip install tensorboard'"):
            train(TINY, tmp_path / "m.pt", epochs=1, dataset=few, options=options)
        return
    train(TINY, tmp_path / "m.pt", epochs=2, dataset=few, options=options)
    (events,) = (tmp_path / "m.pt.tensorboard").iterdir()
    assert b"validation_accuracy" in events.read_bytes()


def test_an_unknown_log_is_refused(few: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="log 'wandb' is unknown: give csv or tensorboard"):
        train(TINY, tmp_path / "m.pt", dataset=few, options=Options(logs=("wandb",)))


def test_several_seeds_are_summed_up_and_what_is_done_is_not_trained_again(few: Dataset, tmp_path: Path) -> None:
    first = train_seeds(TINY, tmp_path / "m.pt", [0, 3], epochs=2, dataset=few)
    assert [run.path.name for run in first.runs] == ["m-seed0.pt", "m-seed3.pt"]
    accuracies = [run.test_accuracy for run in first.runs]
    assert first.mean == pytest.approx(statistics.fmean(accuracies))
    assert first.standard_deviation == pytest.approx(statistics.stdev(accuracies))
    summary = json.loads(first.summary.read_text())
    assert summary["accuracy"] == {"mean": first.mean, "standard_deviation": first.standard_deviation}
    stamps = [run.path.stat().st_mtime_ns for run in first.runs]
    more = train_seeds(TINY, tmp_path / "m.pt", [0, 3, 4], epochs=2, dataset=few)
    assert more.runs[:2] == first.runs
    assert [run.path.stat().st_mtime_ns for run in more.runs[:2]] == stamps
    longer = train_seeds(TINY, tmp_path / "m.pt", [0], epochs=3, dataset=few)
    assert (longer.runs[0].epochs, longer.standard_deviation) == (3, 0)
    for seeds in ([], [1, 1]):
        with pytest.raises(UserError, match="give at least one, and each of them once"):
            train_seeds(TINY, tmp_path / "m.pt", seeds)


def test_frames_are_trained_as_frames_and_the_checkpoint_says_so(tmp_path: Path) -> None:
    recipe = RECIPES["event-digits-binary-t10"].with_network(width=2, steps=3)
    recipe = dataclasses.replace(recipe, batch_size=256)
    result = train(recipe, tmp_path / "m.pt", epochs=1)
    content = torch.load(result.path, weights_only=True)
    assert (content["frames"], content["dataset"], content["input_shape"]) == (3, "event-digits", [2, 20, 20])
    assert "simulated sensor" in content["provenance"]
    test = data.shipped_test_part(content["dataset"], content["frames"])
    assert test is not None
    model = networks.build(content["arch"], content["arch_kwargs"])
    model.load_state_dict(content["state_dict"])
    with torch.no_grad():
        hits = model.eval()(torch.from_numpy(test.x)).argmax(1).numpy() == test.y
    assert hits.mean() == pytest.approx(content["accuracy"])


def test_all_frames_of_a_sample_are_moved_alike() -> None:
    recipe = dataclasses.replace(RECIPES["event-digits"], crop_padding=2, flip=True)
    frames = torch.randint(5, (50, 3, 2, 20, 20), dtype=torch.uint8)
    frames[:, 1:] = frames[:, :1]
    moved = Trainer(recipe, 0, 1, 5)._augmented(frames, torch.Generator().manual_seed(0))
    assert moved.shape == frames.shape
    assert torch.equal(moved[:, 1], moved[:, 0])
    assert torch.equal(moved[:, 2], moved[:, 0])
    assert not torch.equal(moved, frames.float())


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ("cifar10-resnet18", "recipe 'cifar10-resnet18' is for 3 channels, but 'digits' has 1"),
        ("event-digits", "recipe 'event-digits' is for 2 channels, but 'digits' has 1"),
    ],
)
def test_data_that_do_not_fit_the_network_are_refused(recipe: str, sentence: str, few: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        train(recipe, tmp_path / "m.pt", dataset=few)


def test_autoaugment_wants_colour_images(few: Dataset, tmp_path: Path) -> None:
    recipe = RECIPES["cifar10-resnet18"].on(few)
    with pytest.raises(UserError, match="AutoAugment is for colour images, which 'digits' has not"):
        train(recipe, tmp_path / "m.pt", dataset=few)
