"""``--set`` makes chip files that inherit, and says what is wrong in terms of what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import SHIPPED, load_chip
from snn2chip.sweep.variants import Setting, Variant, parse, variants, write


def _written(chips: list[str], settings: list[str], folder: Path) -> tuple[Variant, ...]:
    found = variants(chips, [parse(text) for text in settings], folder)
    write(found)
    return found


def test_lists_are_read() -> None:
    assert parse("limits.neurons_per_core=512, 1024,512") == Setting("limits.neurons_per_core", ("512", "1024"))
    assert parse("prices.hop_x=3 pJ,6 pJ") == Setting("prices.hop_x", ("3 pJ", "6 pJ"))


@pytest.mark.parametrize(
    "text", ["limits", "limits=5", "limits.a.b=5", "limits.a=", "limits.a=5,", ".a=5", "limits.=5"]
)
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"write SECTION\.KEY=VALUE,VALUE"):
        parse(text)


def test_only_what_was_set_changes(tmp_path: Path) -> None:
    settings = ["limits.neurons_per_core=512", "prices.hop_x=3 fJ", "prices.spike_out=.5"]
    (found,) = _written(["unit"], [*settings, "choices.idle_neurons=visited"], tmp_path)
    chip, parent = load_chip(found.file), load_chip("unit")
    changed = {key for key in parent.numbers if chip.numbers[key] != parent.numbers[key]}
    assert changed == {"limits.neurons_per_core"}
    assert chip.count("limits.neurons_per_core") == 512
    assert {action for action in parent.prices if chip.prices[action] != parent.prices[action]} == {
        "hop_x",
        "spike_out",
    }
    assert chip.price("hop_x", "").quantity is not None
    quantities = [chip.prices[action].quantity for action in ("hop_x", "spike_out")]
    assert [(found.value, found.kind) for found in quantities if found] == [
        (3 * 1e-15, "assumed"),
        (0.5 * 1e-12, "assumed"),
    ]
    assert dict(chip.choices) == {**parent.choices, "idle_neurons": "visited"}
    assert chip.times == parent.times
    said = "A sweep set limits.neurons_per_core = 512, prices.hop_x = 3 fJ, prices.spike_out = .5, "
    assert chip.notes == (*parent.notes, said + "choices.idle_neurons = visited.")


def test_every_combination_is_made_on_every_chip(tmp_path: Path) -> None:
    found = _written(["unit", "loihi2"], ["limits.neurons_per_core=512,1024", "power.static=1,2"], tmp_path)
    assert [(variant.chip, *variant.settings.values()) for variant in found] == [
        (chip, neurons, power) for chip in ("unit", "loihi2") for neurons in ("512", "1024") for power in ("1", "2")
    ]
    assert [load_chip(variant.file).digest for variant in found] == [variant.digest for variant in found]
    assert len({variant.digest for variant in found}) == len(found)


def test_a_chip_file_of_ones_own_is_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text((SHIPPED / "unit.toml").read_text().replace('"unit"', '"mine"', 1))
    monkeypatch.chdir(tmp_path)
    (found,) = _written(["mine.toml"], ["limits.neurons_per_core=7"], tmp_path / "chips")
    assert found.chip == load_chip(found.file).name
    assert load_chip(found.file).count("limits.neurons_per_core") == 7


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("limits.neurons_per_cor=5", r"neurons_per_cor is no key .* \(did you mean 'neurons_per_core'\?\)"),
        ("limits.neurons_per_core=0", "--set limits.neurons_per_core=0 on unit: .* give 1 or more"),
        ("limits.neurons_per_core=2.5", "it must be a whole number"),
        ("limits.neurons_per_core=many", "--set limits.neurons_per_core=many: give a number"),
        ("limits.neurons_per_core=5 pJ", "unit is 'pJ', but count is given in one of 1"),
        ("limit.neurons_per_core=5", r"there is no section \[limit\]"),
        ("prices.hop_z=5 pJ", "names 'hop_z', which no neurocore chip performs"),
        ("prices.hop_x=0", "would make the action free"),
        ("prices.hop_x=-1", "it must be at least 0"),
        ("prices.hop_x=nan", "it must be at least 0 and finite"),
        ("capacity.state=5", "--set capacity.state: unit has no number there to take the unit from"),
        ("choices.idle_neurones=visited", r"did you mean 'idle_neurons'\?"),
    ],
)
def test_what_no_chip_file_takes_is_named_as_it_was_typed(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        variants(["unit"], [parse(text)], tmp_path)
    assert "/" not in str(refused.value), "the file is gone"
    assert not list(tmp_path.iterdir())


def test_a_number_set_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--set power\.static is given twice"):
        variants(["unit"], [parse("power.static=1"), parse("power.static=2")], tmp_path)
