"""Detailed timing of whole networks: against the slow simulator, the laws, and what users meet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip import interpreter
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.detailed import timing
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.detailed.timing import Timed
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.simulate import simulate
from snn2chip.interpreter import Recorder
from snn2chip.lowering import to_populations
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d
from tests.hw.networks import chain, fading, graded_skip, images, maxima, residual, unit
from tests.hw.slow_network import SlowNetwork, Step
from tests.hw.test_schema_document import keys

LEVELS = ("summary", "detailed")

TIMES = ("synaptic_operation", "neuron_update_active", "leak_multiply", "spike_out", "level_compare", "level_shift",
         "message", "axon_in_read", "barrier", "hop_x", "hop_y", "chip_crossing")  # fmt: skip


def timed(graph: Graph, inputs: Array, chip: Chip) -> tuple[Timed, SlowNetwork, Any, Neurocores]:
    """Both simulators, what was counted, and the model."""
    network = to_populations(graph)
    placement = place(network, chip)
    cores = Neurocores(network, chip, placement)
    activity, events, recorder = cores.activity(len(inputs)), Events(network, len(inputs)), Recorder()
    interpreter.run(network.graph, inputs, [activity, events, recorder], batch_size=2)
    slow = SlowNetwork(network, chip, placement, {name: recorder.tensors[name] for name in slow_names(cores)})
    return timing.time(cores, events), slow, activity, cores


def slow_names(cores: Neurocores) -> list[str]:
    return [population.name for population in cores.network.populations]


@st.composite
def chips(draw: st.DrawFn) -> str:
    """The text of a small chip whose times are whole nanoseconds."""
    lines = ['name = "drawn"', 'title = "drawn"', 'inherits = "unit"']
    for action in TIMES:
        least = 2 if action == "neuron_update_active" else 1
        value = draw(st.integers(least, 4))
        lines.append(f'times.{action} = {{ value = {value}, unit = "ns", kind = "assumed", source = "unit" }}')
    sizes = {
        "limits.neurons_per_core": draw(st.sampled_from([2, 3, 9, 40])),
        "limits.buffer_messages": draw(st.integers(1, 3)),
        "structure.cores": draw(st.sampled_from([4, 64])),
        "structure.cores_per_tile": draw(st.integers(1, 2)),
        "structure.tile_columns": draw(st.integers(1, 3)),
    }
    lines += [f'{key} = {{ value = {n}, unit = "1", kind = "assumed", source = "unit" }}' for key, n in sizes.items()]
    return "\n".join([*lines, f'choices.idle_neurons = "{draw(st.sampled_from(["gated", "visited"]))}"'])


def small_residual(seed: int, levels: int, steps: int) -> Graph:
    """Two convolutions with an identity skip that waits a step, a pool and classes."""
    rng = np.random.default_rng(seed)

    def conv(inputs: int, stride: int = 1) -> Conv2d:
        bias = frozen(rng.integers(-2, 3, 2), np.int32) if rng.random() < 0.5 else None
        return Conv2d(frozen(rng.integers(-3, 4, (2, inputs, 3, 3)), np.int8), bias, (stride, stride), padding=(1, 1))

    def neuron() -> MultiLevelIF:
        return MultiLevelIF(frozen(rng.integers(1, 5, 2), np.int32), levels)

    return Graph(
        (
            Node("x", Input((1, 4, 3), 2)),
            Node("c0", conv(1), ("x",)),
            Node("n0", neuron(), ("c0",)),
            Node("c1", conv(2), ("n0",)),
            Node("n1", neuron(), ("c1",)),
            Node("sum", Add(), ("n1", "n0")),
            Node("bar", neuron(), ("sum",)),
            Node("pool", SumPool2d((2, 1), (2, 1)), ("bar",)),
            Node("flat", Flatten(), ("pool",)),
            Node("fc", Linear(frozen(rng.integers(-3, 4, (2, 12)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps,
    )


def in_nanoseconds(step: Step, number: int, trace: Any) -> bool:
    found = (trace.taken, trace.updating, trace.sending)
    told = (step.taken, step.updating, step.sending)
    assert [times[number].tolist() for times in found] == [[1000 * time for time in times] for times in told]
    assert trace.duration[number] == 1000 * step.duration
    return True


@settings(max_examples=25, deadline=None)
@given(
    chip=chips(),
    which=st.sampled_from(["chain", "skip", "fading", "maxima", "residual"]),
    levels=st.integers(1, 3),
    steps=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_the_same_cycles_as_the_slow_simulator(
    tmp_path_factory: pytest.TempPathFactory, chip: str, which: str, levels: int, steps: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("chips") / "drawn.toml"
    path.write_text(chip, encoding="utf-8")
    shipped = {"chain": chain, "skip": graded_skip, "fading": fading, "maxima": maxima}
    graph = shipped[which]() if which in shipped else small_residual(seed, levels, steps)
    found, slow, activity, cores = timed(graph, images(graph, 2, seed), load_chip(path))
    for sample in range(2):
        for number, step in enumerate(slow.alone(sample)):
            assert in_nanoseconds(step, number, found.alone[sample])
    for number, step in enumerate(slow.stream()):
        assert in_nanoseconds(step, number, found.stream)
    check_laws(found, activity, cores)


def check_laws(found: Timed, activity: Any, cores: Neurocores) -> None:
    """detailed >= summary >= the work of each core; and both levels charge every core the same work."""
    work, latency = cores.work(activity), cores.latency(activity)
    report = timing.report(found, latency)
    assert report.cycles >= report.summary_cycles * (1 - 1e-12)
    assert report.interval_cycles >= report.summary_interval_cycles * (1 - 1e-12)
    assert latency.cycles is not None
    assert latency.cycles >= work.sum(axis=1).max(axis=1).mean() * (1 - 1e-12)
    done = [row.taking_in + row.updating + row.sending for row in report.cores]
    idle = np.zeros(cores.placement.cores)
    if cores.visits_idle:
        for slots in cores.placement.slots.values():
            for slot in slots:
                inside = int(slot.region.mask(cores.network[slot.population].shape).sum())
                idle[slot.index] = inside * (cores.latency_steps - cores.steps)
    assert done == pytest.approx(work.sum(axis=1).mean(axis=0) + idle)
    for row in report.cores:
        times = row.taking_in + row.starved + row.updating + row.sending + row.waiting
        assert times == pytest.approx(report.cycles)
        assert min(row.starved, row.waiting) >= 0
    path = [
        row.travel + row.contention + row.back_pressure + row.behind + row.taking_in + row.updating + row.sending
        for row in report.critical_path
    ]
    assert sum(path) + report.barrier_cycles == pytest.approx(report.cycles)
    assert sum(row.steps for row in report.critical_path) == pytest.approx(cores.latency_steps)


def test_messages_and_hops_are_those_that_are_counted(tmp_path: Path) -> None:
    graph = residual(steps=2, levels=3)
    found, _, activity, cores = timed(graph, images(graph), unit(tmp_path, limits__neurons_per_core="20"))
    report = timing.report(found, cores.latency(activity))
    rows = cores.layers(activity)
    assert sum(row.messages for row in report.cores) == pytest.approx(sum(row.messages or 0 for row in rows))
    assert sum(row.messages for row in report.links) == pytest.approx(sum(row.hops or 0 for row in rows))
    assert report.cycles > report.summary_cycles


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("hop_y", r"bare\.toml: detailed timing needs \[times\] hop_y"),
        ("buffer_messages", r"bare\.toml: detailed timing needs \[limits\] buffer_messages"),
    ],
)
def test_a_chip_without_links_is_refused(tmp_path: Path, missing: str, message: str) -> None:
    text = (Path(timing.__file__).parents[1] / "chips" / "unit.toml").read_text(encoding="utf-8")
    section = "[times]" if missing == "hop_y" else "[limits]"
    head, tail = text.split(section, 1)
    kept = [line for line in tail.splitlines() if not line.startswith(f"{missing} =")]
    path = tmp_path / "bare.toml"
    path.write_text(head + section + "\n".join(kept), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        timed(chain(), images(chain()), load_chip(path))


def test_times_that_no_chip_has_are_refused(tmp_path: Path) -> None:
    """A second a hop is still exact: all that takes a nanosecond is lost in it; beyond, the action is named."""
    found = {}
    for value in (1, 2):
        path = tmp_path / "slow.toml"
        quantity = f'{{ value = {value}, unit = "s", kind = "assumed", source = "unit" }}'
        lines = [f"times.{hop} = {quantity}" for hop in ("hop_x", "hop_y")]
        path.write_text("\n".join(['name = "slow"', 'inherits = "unit"', *lines]), encoding="utf-8")
        found[value] = load_chip(path)
    report = simulate(chain(), images(chain()), None, found[1], timing="detailed")
    assert report.latency.cycles is not None
    assert report.latency.cycles > 1e9
    with pytest.raises(UserError, match=r"slow\.toml: \[times\] hop_x is 2 s, but detailed timing follows actions of"):
        simulate(chain(), images(chain()), None, found[2], timing="detailed")


@pytest.mark.parametrize(
    ("time", "inputs", "outputs", "neurons"), [("hop_x", 512, 64, 1), ("synaptic_operation", 16, 10_000, 10_000)]
)
def test_steps_that_are_too_long_are_refused(
    tmp_path: Path, time: str, inputs: int, outputs: int, neurons: int
) -> None:
    """32,256 messages over the host's first link, or 16 of 10,000 operations each, where all of it takes a second."""
    nodes = (
        Node("x", Input((inputs,), 1)),
        Node("l", Linear(frozen(np.ones((outputs, inputs)), np.int8)), ("x",)),
        Node("n", MultiLevelIF(frozen(np.ones(outputs), np.int32), 1), ("l",)),
        Node("fc", Linear(frozen(np.ones((1, outputs)), np.int8)), ("n",)),
        Node("out", Readout(), ("fc",)),
    )
    path = tmp_path / "slow.toml"
    sizes = {"limits.neurons_per_core": neurons, "limits.buffer_messages": 64, "structure.cores": 256}
    lines = [f'{key} = {{ value = {n}, unit = "1", kind = "assumed", source = "unit" }}' for key, n in sizes.items()]
    lines.append(f'times.{time} = {{ value = 1, unit = "s", kind = "assumed", source = "unit" }}')
    path.write_text("\n".join(['name = "slow"', 'inherits = "unit"', *lines]), encoding="utf-8")
    with pytest.raises(UserError, match=r"a step of detailed timing may last \S+ s on this mesh, and one lasts longer"):
        simulate(Graph(nodes, 1), np.ones((1, inputs), np.uint8), None, load_chip(path), timing="detailed")


def test_several_chips_need_the_time_between_them(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    number = '{ value = 2, unit = "1", kind = "assumed", source = "convention" }'
    sizes = [f"{key} = {number}" for key in ("structure.cores", "structure.tile_columns", "limits.neurons_per_core")]
    path.write_text("\n".join(['name = "small"', 'inherits = "loihi2"', *sizes]), encoding="utf-8")
    with pytest.raises(UserError, match=r"small\.toml: detailed timing needs \[times\] chip_crossing"):
        timed(chain(), images(chain()), load_chip(path))


def test_the_report_says_what_detailed_timing_found(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="2", structure__cores="4", structure__tile_columns="2")
    summary, found = (simulate(chain(), np.array([[1, 0]], np.uint8), None, chip, timing=timing) for timing in LEVELS)
    assert summary.detailed is None
    assert found.detailed is not None
    assert (found.detailed.summary_cycles, found.latency.cycles) == (summary.latency.cycles, found.detailed.cycles)
    assert found.energy.static is not None
    assert found.energy.static.nominal == pytest.approx(found.detailed.cycles * 1e-12, rel=1e-9, abs=0)  # 1 mW
    assert found.energy.dynamic == summary.energy.dynamic
    assert any("34.8 % above the lower bound of summary timing" in note for note in found.notes)
    again = simulate(chain(), np.array([[1, 0]], np.uint8), None, chip, timing="detailed")
    assert again.to_json() == found.to_json()


@pytest.mark.parametrize(
    ("chip", "level", "message"),
    [
        ("dense-45nm", "detailed", "chip dense-45nm: detailed timing follows messages between cores"),
        ("unit", "exact", "timing 'exact' is unknown: give 'summary' or 'detailed'"),
    ],
)
def test_other_timings_are_refused(chip: str, level: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        simulate(chain(), images(chain()), None, load_chip(chip), timing=level)


def test_every_key_of_the_report_is_documented() -> None:
    graph = residual()
    found = simulate(graph, images(graph), None, load_chip("loihi2"), timing="detailed").to_document()["detailed"]
    page = (Path(__file__).parents[2] / "docs" / "report-schema.md").read_text(encoding="utf-8")
    section = page.split("### `detailed`", 1)[1]
    assert found["links"]
    assert set(keys(found)) - set(re.findall(r"`(\w+)`", section)) == set()
