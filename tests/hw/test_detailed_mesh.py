"""The compiled mesh against `tests.hw.slow_mesh`, tick for tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip.graph import Array
from snn2chip.hw_models.detailed import kernel
from snn2chip.hw_models.detailed.topology import Mesh, build
from tests.hw.slow_mesh import Message, SlowMesh


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    """A step of a small mesh: arguments of `SlowMesh`."""
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    tile = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    tiles = draw(st.lists(tile, min_size=1, max_size=6))
    message = st.builds(Message, st.integers(0, len(tiles) - 1), st.sampled_from([0, 1, 1, 2, 7]))
    count = len(tiles) + 1
    outboxes = draw(st.lists(st.lists(message, max_size=12), min_size=count, max_size=count))
    return {
        "tiles": tiles,
        "outboxes": outboxes,
        "hop_x": draw(st.integers(1, 3)),
        "hop_y": draw(st.integers(1, 3)),
        "crossing": draw(st.integers(1, 5)),
        "columns": draw(st.integers(1, 4)),
        "places": draw(st.integers(1, 3)),
    }


def run_fast(step: dict[str, Any], sent: Array | None = None) -> tuple[Mesh, Array, Array, Array]:
    """`sent`: the messages that travel in each of several steps, ``[steps, messages]``; all of them in one if None."""
    x, y = np.array(step["tiles"]).T
    width = int(x.max()) + 1
    along_x = [step["crossing"] if (i + 1) % step["columns"] == 0 else step["hop_x"] for i in range(width - 1)]
    mesh = build(width, int(y.max()) + 1, x, y, along_x, step["hop_y"], step["hop_x"], step["places"])
    flat = [message for outbox in step["outboxes"] for message in outbox]
    numbers, sent = np.arange(len(flat) + 1), np.ones((1, len(flat))) if sent is None else sent
    axons = (  # a branch a message
        np.cumsum([0, *map(len, step["outboxes"])]),
        numbers,
        numbers[:-1],
        np.ones(len(flat)),
        numbers[:-1],
        numbers,
        [message.core for message in flat],
        numbers[:-1],
        [message.work for message in flat],
    )
    rows = np.repeat(np.arange(len(sent))[:, None], len(flat), axis=1)
    intake, waited, used = (
        np.zeros(shape, np.int64)
        for shape in (
            (len(sent), mesh.cores, 7),
            (4 * mesh.tiles + 2 * mesh.cores + 1, 2),
            (4 * mesh.tiles + 2 * mesh.cores, 2),
        )
    )
    kernel.run_steps(
        tuple(mesh.tables),
        tuple(np.array(found, np.int64) for found in axons),
        sent.astype(np.uint8),
        rows,
        intake,
        waited,
        used,
    )
    return mesh, intake, waited, used


@settings(max_examples=150, deadline=None)
@given(steps())
def test_every_core_link_and_queue_is_the_same_to_the_tick(step: dict[str, Any]) -> None:
    mesh, intake, waited, used = run_fast(step)
    slow = SlowMesh(**{**step, "outboxes": [[replace(found) for found in outbox] for outbox in step["outboxes"]]})
    slow.run()
    assert intake[0].tolist() == [
        [core.taken, core.busy_from, *core.path, taker.busy]
        for core, taker in zip(slow.cores, slow.takers, strict=True)
    ]
    assert (intake[0, :, 2:6].sum(axis=1) == intake[0, :, 1]).all()
    servers = {**links(mesh, slow), **{4 * mesh.tiles + i: port for i, port in enumerate(slow.ports)}}
    servers |= {4 * mesh.tiles + mesh.cores + i: taker for i, taker in enumerate(slow.takers)}
    assert {number: tuple(used[number]) for number in servers} == {
        number: (server.served, server.busy) for number, server in servers.items()
    }
    assert used[:, 0].sum() == sum(server.served for server in slow.servers)
    for tile, queues in slow.at.items():
        found = mesh.reads[tile[1] * mesh.width + tile[0]]
        assert found[0] == len(queues)
        assert waited[found[1 : 1 + len(queues)]].tolist() == [
            [queue.contention, queue.back_pressure] for queue in queues
        ]


@settings(max_examples=50, deadline=None)
@given(steps(), st.data())
def test_steps_do_not_depend_on_one_another(step: dict[str, Any], data: st.DataObject) -> None:
    count = sum(map(len, step["outboxes"]))
    chosen = st.lists(st.booleans(), min_size=count, max_size=count)
    sent = np.array(data.draw(st.lists(chosen, min_size=1, max_size=4)))
    _, *together = run_fast(step, sent)
    alone = [run_fast(step, row[None])[1:] for row in sent]
    assert together[0].tolist() == np.concatenate([found[0] for found in alone]).tolist()
    for place in (1, 2):
        assert together[place].tolist() == np.sum([found[place] for found in alone], axis=0).tolist()


def queueing(messages: int, ticks: int, places: int = 2) -> dict[str, Any]:
    """Messages from one core to the next, of which every service takes `ticks`."""
    outboxes = [[Message(1, ticks)] * messages, [], []]
    times = dict.fromkeys(("hop_x", "hop_y", "crossing"), ticks)
    return {"tiles": [(0, 0), (1, 0)], "outboxes": outboxes, "columns": 2, "places": places, **times}


@pytest.mark.parametrize("messages", [1, 40])
def test_times_are_exact_or_refused(messages: int) -> None:
    """From well below to beyond what 63 bits hold beside the number of a server (4 bits here)."""
    done, first = [], run_fast(queueing(messages, 1))[1][0, 1, 0]
    for power in range(40, 62):
        try:
            done.append(run_fast(queueing(messages, 1 << power))[1][0, 1, 0] == first << power)
        except OverflowError:
            break
    assert all(done)
    assert 10 < len(done) < 21


def test_a_buffer_larger_than_all_messages_takes_no_room() -> None:
    large, enough = (run_fast(queueing(20, 3, places)) for places in (10**12, 21))
    for found, expected in zip(large[1:], enough[1:], strict=True):
        assert found.tolist() == expected.tolist()


def links(mesh: Mesh, slow: SlowMesh) -> dict[int, Any]:
    directions = {(1, 0): kernel.EAST, (-1, 0): kernel.WEST, (0, -1): kernel.NORTH, (0, 1): kernel.SOUTH}
    return {
        4 * (y * mesh.width + x) + directions[to_x - x, to_y - y]: link
        for ((x, y), (to_x, to_y)), link in slow.links.items()
    }
