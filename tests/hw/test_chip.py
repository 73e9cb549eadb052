"""Chip files: every mistake is one sentence that names the file, the key and the mend."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn2chip import api
from snn2chip.cli import main
from snn2chip.errors import UserError
from snn2chip.hw_models.actions import ACTIONS
from snn2chip.hw_models.chip import SHIPPED, available_chips, load_chip
from snn2chip.hw_models.quantity import KINDS
from snn2chip.hw_models.simulate import simulate
from tests.hw.networks import chain, images, residual

UNIT = (SHIPPED / "unit.toml").read_text(encoding="utf-8")
PRICE = 'synaptic_operation = { value = 1, unit = "pJ", kind = "assumed", source = "unit" }\n'


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", available_chips())
def test_shipped_chips_say_where_every_number_comes_from(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name
    assert chip.title
    for number in chip.summary.numbers:
        assert number.kind in KINDS
        assert number.source or number.value.startswith("included in"), f"{name}: {number.name} has no source"
    assert set(chip.prices) <= set(ACTIONS[chip.model])


def test_the_chips_of_the_first_release_are_there() -> None:
    wanted = {
        "unit",
        "loihi1-davies2018",
        "loihi1-sanafe",
        "loihi2",
        "loihi2-scaled",
        "lemaire-45nm",
        "dense-45nm",
        "dense-45nm-zero-skipping",
    }
    assert wanted <= set(available_chips())


@pytest.mark.parametrize("name", [name for name in available_chips() if not name.startswith("loihi1")])
@pytest.mark.parametrize("barrier", [True, False])
def test_shipped_chips_price_all_that_a_residual_network_does(name: str, barrier: bool) -> None:
    graph = residual(steps=2, levels=4, barrier=barrier)
    report = simulate(graph, images(graph), None, load_chip(name))
    assert 0 < report.energy.dynamic.low <= report.energy.dynamic.nominal <= report.energy.dynamic.high


def test_a_price_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = written(tmp_path, UNIT.replace(PRICE, "", 1))
    with pytest.raises(UserError, match=r"mine.toml: layer 'hidden' performs 'synaptic_operation', which \[prices\]"):
        simulate(chain(), images(chain()), None, load_chip(path))


def test_all_prices_that_are_missing_are_named_at_once(tmp_path: Path) -> None:
    chip = load_chip("unit")
    gone = ("message", "synaptic_operation", "synapse_read")
    unpriced = replace(chip, prices={action: price for action, price in chip.prices.items() if action not in gone})
    says = (
        "layer 'x' performs 'message', layer 'hidden' performs 'synaptic_operation', 'synapse_read', which [prices] "
        "does not mention: give each a number, or say included_in or absent"
    )
    with pytest.raises(UserError, match=re.escape(says)):
        simulate(chain(), images(chain()), None, unpriced)


def test_a_time_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    before, after = UNIT.split("[times]")
    path = written(
        tmp_path, before + "[times]" + after.replace("message = ", "message_ = ", 1).replace("message_", "#")
    )
    with pytest.raises(UserError, match=r"performs 'message', which \[times\] does not mention"):
        simulate(chain(), images(chain()), None, load_chip(path))


def test_what_a_network_does_not_do_needs_no_price(tmp_path: Path) -> None:
    lines = [line for line in UNIT.splitlines() if not line.startswith(("level_compare", "payload_multiply"))]
    report = simulate(chain(), images(chain()), None, load_chip(written(tmp_path, "\n".join(lines))))
    assert report.energy.dynamic.nominal > 0


def test_absent_and_included_prices_are_told(tmp_path: Path) -> None:
    text = UNIT.replace(PRICE, 'synaptic_operation = { absent = "nobody published it" }\n', 1)
    text = text.replace('state_read = { value = 1, unit = "pJ", kind = "assumed", source = "unit" }',
                        'state_read = { included_in = "neuron_update_active" }')  # fmt: skip
    report = simulate(chain(), images(chain()), None, load_chip(written(tmp_path, text)))
    rows = {row.action: row for row in report.totals.actions}
    assert rows["synaptic_operation"].energy.nominal == 0
    assert rows["synaptic_operation"].count > 0
    assert rows["state_read"].included_in == "neuron_update_active"
    assert "No price for synaptic_operation: nobody published it" in report.notes


#: What no chip can have, and what is asked for instead.
IMPOSSIBLE = [
    *((f"structure.{key}", "0", "it is 0, but it must be a whole number: give 1 or more")
      for key in ("cores", "cores_per_tile", "tile_columns")),
    ("structure.cores", "1.5", "a whole number"),
    ("limits.neurons_per_core", "0", "a whole number: give 1 or more"),
    ("limits.neurons_per_core", "512.5", "it is 512.5, but it must be a whole number"),
    ("limits.axons_in_per_core", "0", "a whole number: give 1 or more"),
    ("capacity.synapse", "0", "a whole number of bits: give 1 or more"),
    ("capacity.payload", "0.5", "a whole number of bits: give 0 or more"),
    ("words.synapse", "0", "a whole number of bits: give 1 or more"),
    ("words.axon_in", "0.5", "a whole number of bits: give 1 or more"),
    ("clock.frequency", "0", "must be above 0: give the clock"),
    ("power.static", "0", "leave the key out"),
    ("limits.neuron_per_core", "5", r"no key of neurocore chips \(did you mean 'neurons_per_core'\?\)"),
]  # fmt: skip
UNITS = {"capacity": "bit", "words": "bit", "clock": "GHz", "power": "mW"}


@pytest.mark.parametrize(("key", "value", "message"), IMPOSSIBLE)
def test_what_no_chip_can_have_is_refused_on_reading(tmp_path: Path, key: str, value: str, message: str) -> None:
    unit = UNITS.get(key.split(".")[0], "1")
    entry = f'{key} = {{ value = {value}, unit = "{unit}", kind = "assumed", source = "unit" }}\n'
    path = written(tmp_path, f'name = "mine"\ninherits = "unit"\n{entry}')
    with pytest.raises(UserError, match=message) as error:
        load_chip(path)
    section, name = key.split(".")
    assert str(error.value).startswith(f"chip file {path}, line 3: [{section}] {name}")


@pytest.mark.parametrize("key", ["structure.cores", "limits.neurons_per_core", "capacity.synapse", "clock.frequency"])
def test_a_range_that_would_reach_no_report_is_refused(tmp_path: Path, key: str) -> None:
    unit = UNITS.get(key.split(".")[0], "1")
    entry = f'{key} = {{ low = 100, nominal = 200, high = 400, unit = "{unit}", kind = "assumed", source = "unit" }}\n'
    with pytest.raises(UserError, match=r"it is 200.* but only prices, times, .* may be ranges"):
        load_chip(written(tmp_path, f'name = "mine"\ninherits = "unit"\n{entry}'))


def test_zeros_that_mean_something_are_read(tmp_path: Path) -> None:
    origin = 'kind = "assumed", source = "unit" }\n'
    path = written(
        tmp_path,
        f'name = "mine"\ninherits = "unit"\ncapacity.payload = {{ value = 0, unit = "bit", {origin}'
        f'times.message = {{ value = 0, unit = "ns", {origin}'
        f'prices.message = {{ low = 0, nominal = 1, high = 2, unit = "pJ", {origin}',
    )
    chip = load_chip(path)
    assert chip.count("capacity.payload") == 0
    assert chip.prices["message"].quantity is not None
    assert chip.prices["message"].quantity.range.low == 0


def test_a_table_holds_no_free_size(tmp_path: Path) -> None:
    text = (SHIPPED / "lemaire-45nm.toml").read_text(encoding="utf-8").replace("[8, 10]", "[8, 0]")
    with pytest.raises(UserError, match=r"\[prices\] sram_access: a price of 0 would make the action free"):
        load_chip(written(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("limits = 5", r"limits is 5, but a section \[limits\] is needed"),
        ('notes = "one"', "notes must be a list of sentences, not 'one'"),
        ("scenario = 3", "scenario is 3, but it must be a sentence"),
        ("sources.lab = 3", r"\[sources\] lab is 3, but it must say in words"),
        ("name.x = 3", "name is missing"),
    ],
)
def test_values_of_the_wrong_type_are_named(tmp_path: Path, line: str, message: str) -> None:
    name = "" if line.startswith("name") else 'name = "mine"\n'
    with pytest.raises(UserError, match=message):
        load_chip(written(tmp_path, f'{name}inherits = "unit"\n{line}\n'))


def test_notes_are_added_to_the_parents(tmp_path: Path) -> None:
    child = load_chip(written(tmp_path, 'name = "child"\ninherits = "unit"\nnotes = ["Measured on one board."]\n'))
    assert child.notes == (*load_chip("unit").notes, "Measured on one board.")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "pJ"', 'unit = "pj"', r"synaptic_operation: unit is 'pj', but energy is given in one of fJ"),
        ('unit = "pJ"', 'unit = "ns"', r"\[prices\] synaptic_operation: unit is 'ns'"),
        ("value = 1, unit", "value = -1, unit", r"synaptic_operation: value is -1, but it must be at least 0"),
        ("value = 1, unit", "value = nan, unit", r"\[prices\] synaptic_operation: value is nan"),
        ("value = 1, unit", 'value = "1", unit', r"\[prices\] synaptic_operation: value must be a number, not '1'"),
        ("value = 1, unit", "low = 2, nominal = 1, high = 3, unit", r"low, nominal and high must ascend"),
        ("value = 1, unit", "low = 1, high = 3, unit", r"nominal must be a number, not None"),
        ('kind = "assumed"', 'kind = "guessed"', r"kind is 'guessed', but it must be one of measured"),
        ('source = "unit"', 'source = "hearsay"', r"source is 'hearsay', but it must be a key of \[sources\]"),
        ('source = "unit"', 'source = "unit", colour = 1', r"unknown key 'colour'"),
        (PRICE, "synaptic_operation = 1\n", r"\[prices\] synaptic_operation is 1, but a number is a table"),
        (PRICE, 'synaptic_operation = { included_in = "breathing" }\n', "included in 'breathing', which has no number"),
        (PRICE, 'breathing = { absent = "no" }\n', r"\[prices\] names 'breathing', which no neurocore chip performs"),
        (PRICE, 'synaptic_operation = { absent = "" }\n', "absent stands alone and names an action or a reason"),
        ("value = 1, unit", 'points = [[2, 1], [1, 2]], x_unit = "1", unit', "the x of its points must ascend"),
        (PRICE, PRICE.replace("operation", "operaton"), r"\(did you mean 'synaptic_operation'\?\)"),
        ("value = 1, unit", "value = 0, unit", r"synaptic_operation: .* say included_in, or absent with a reason"),
        ("value = 1, unit", "low = 0, nominal = 0, high = 0, unit", r"a price of 0 would make the action free"),
        ("value = 1, unit", "low = 0, nominal = 0, high = 2, unit", r"a price of 0 would make the action free"),
        ("value = 1, unit", 'points = [[2, 1]], x_unit = "1", unit', "points are for the time of the barrier only"),
        ("value = 1, unit", 'points = [5], x_unit = "1", unit', r"points must be pairs \[x, y\] of numbers"),
        ('model = "neurocore"', 'model = "brain"', "model is 'brain', but one of neurocore"),
        ('name = "unit"', 'name = "unit"\ncolour = "red"', "unknown key or section 'colour'"),
        ('name = "unit"', "", "name is missing"),
        ('name = "unit"', "name = unit", "is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in UNIT
    head, tail = UNIT.split("[prices]") if old in UNIT.split("[prices]")[1] else ("", UNIT)
    text = (head + "[prices]" if head else "") + tail.replace(old, new, 1)
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=message) as error:
        load_chip(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value).split("not TOML")[0]


def test_a_missing_limit_or_choice_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, UNIT.replace("tile_columns", "#tile_columns", 1))
    with pytest.raises(UserError, match=r"\[structure\] tile_columns is missing, and neurocore chips need it"):
        simulate(chain(), images(chain()), None, load_chip(path))
    path = written(tmp_path, UNIT.replace('idle_neurons = "gated"', 'idle_neurons = "asleep"', 1))
    with pytest.raises(UserError, match=r"\[choices\] idle_neurons is 'asleep', but it must be 'visited' or 'gated'"):
        simulate(chain(), images(chain()), None, load_chip(path))


def test_unknown_chips_are_refused() -> None:
    with pytest.raises(UserError, match=r"there is no chip 'loihi3': name a \.toml file or one of dense-45nm"):
        load_chip("loihi3")
    with pytest.raises(UserError, match=r"chip file nowhere.toml does not exist"):
        load_chip("nowhere.toml")
    with pytest.raises(UserError, match=r"nowhere.toml does not exist: give the path .* one of dense-45nm, .*, unit"):
        load_chip("nowhere.toml")


def test_inheritance_replaces_whole_numbers(tmp_path: Path) -> None:
    change = '[prices]\nmessage = { low = 1, nominal = 2, high = 3, unit = "nJ", kind = "assumed", source = "unit" }\n'
    child = load_chip(written(tmp_path, f'name = "child"\ninherits = "unit"\n{change}'))
    assert child.name == "child"
    assert child.prices["message"].quantity is not None
    assert child.prices["message"].quantity.range.high == pytest.approx(3e-9, rel=1e-9, abs=0)
    assert child.prices["hop_x"] == load_chip("unit").prices["hop_x"]
    assert child.digest != load_chip("unit").digest


def test_cyclic_inheritance_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 'name = "a"\ninherits = "b.toml"\n', "a.toml")
    path = written(tmp_path, 'name = "b"\ninherits = "a.toml"\n', "b.toml")
    with pytest.raises(UserError, match=r"inherits from itself: b.toml -> a.toml -> b.toml"):
        load_chip(path)


def test_tables_are_linear_between_their_points_and_constant_beyond() -> None:
    access = load_chip("lemaire-45nm").prices["sram_access"].table
    assert access is not None
    kib = 8 * 1024
    np.testing.assert_allclose(
        [access.at(size * kib) for size in (0, 4, 8, 20, 32, 1024, 4096)],
        np.array([0, 5, 10, 15, 20, 100, 100]) * 1e-12,
    )


def test_a_chip_that_runs_no_spikes_is_no_target() -> None:
    with pytest.raises(UserError, match="target 'dense-45nm' has the model 'array', which runs no spikes"):
        api.export("nowhere.pt", target="dense-45nm")


def test_a_mistake_in_a_parent_names_the_parents_file_and_line(tmp_path: Path) -> None:
    parent = written(
        tmp_path, UNIT.replace('frequency = { value = 1, unit = "GHz"', 'frequency = { value = 1, unit = "s"')
    )
    child = written(tmp_path, 'name = "child"\ninherits = "mine.toml"\n', "child.toml")
    line = 1 + parent.read_text().splitlines().index("[clock]") + 1
    with pytest.raises(UserError, match=rf"mine.toml, line {line}: \[clock\] frequency"):
        load_chip(child)


def test_a_number_may_be_set_by_a_dotted_key(tmp_path: Path) -> None:
    price = '{ value = -1, unit = "pJ", kind = "measured", source = "unit" }'
    path = written(tmp_path, f'name = "a"\ninherits = "unit"\nprices.message = {price}\n')
    with pytest.raises(UserError, match=r"mine.toml, line 3: \[prices\] message"):
        load_chip(path)


def test_a_table_by_a_bare_number_leaves_its_unit_to_the_note() -> None:
    barrier = load_chip("loihi2").times["barrier"].known
    assert barrier is not None
    assert barrier.text == "1: 113, 32: 200, 8192: 14000, 24576: 16000 ns"
    sram = load_chip("lemaire-45nm").prices["sram_access"].known
    assert sram is not None
    assert sram.text.endswith(" pJ by KiB")


def test_showing_a_chip_prints_every_number_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chips", "show", "loihi1-sanafe"]) == 0
    text = capsys.readouterr().out
    for number in load_chip("loihi1-sanafe").summary.numbers:
        row = next(line for line in text.splitlines() if line.startswith(f"{number.name} "))
        assert number.value in row
        assert number.source in row
    assert main(["chips", "show", "nothing"]) == 2
    assert "there is no chip 'nothing'" in capsys.readouterr().err
