"""Steps on the mesh, message by message. ``docs/decisions/0007-detailed-timing.md`` defines what happens here.

Numbers of servers and queues, for `tiles` routers and `cores` cores: the link that leaves tile r in direction d (east,
west, north, south) is server ``4 * r + d``, the port into core c is ``4 * tiles + c``, and both fill the queue of the
same number. The outbox of core c is queue ``4 * tiles + cores + c``, and the host's outbox is the last queue. Times are
picoseconds from the start of a step.

Two things follow from the rules of 0007 and make this fast:
- A core is the only reader of its buffer, so when it ends a message is known when the port starts to move that message
  there: `_take` works out all of it, and nothing happens later. So is the moment at which the buffer has a place again.
- All servers of one service time form a *lane*: their services end in the order in which they began.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snn2chip.hw_models.compiled import compiled, entry

Ints = NDArray[np.int64]
Table = NDArray[np.void]  # of one of the structures below; its rows are handed on by reference
Bytes = NDArray[np.uint8]

EAST, WEST, NORTH, SOUTH = range(4)
#: Why the first message of a core's last busy period came no sooner.
TRAVEL, CONTENTION, BACK_PRESSURE, BEHIND = range(4)
NEVER = int(np.iinfo(np.int64).max)
#: No ``time << bits | server`` may come to this, so that none is beyond `NEVER` (`steps.check_times` does the rest).
TOO_LATE = 1 << 62
NONE = -1


def _structure(**fields: type) -> np.dtype[np.void]:
    return np.dtype(list(fields.items()), align=True)


#: `head`, `tail`: messages. `held`: messages in it; `places`: those, and what its server is moving here. `wanted`: the
#: server that its head asks for, `since` when, and `mark`: the time in use of that server at that moment. `turn`: its
#: place among the queues of its tile. `routes`: where in the routes those from its tile start.
QUEUE = _structure(
    head=np.int32, tail=np.int32, held=np.int32, places=np.int32, wanted=np.int32, turn=np.int32, routes=np.int64,
    since=np.int64, mark=np.int64, contention=np.int64, back_pressure=np.int64,
)  # fmt: skip
#: `source`: the queue that it serves. `asking`: how many heads ask for it or are served, `askers`: the sum of their
#: numbers. `last`: the turn that it served last. `reads`: where those of its tile start. `ends`: its last service.
#: `used`: all its services. `free`: from when on the buffer behind it has a place, for a port.
SERVER = _structure(
    source=np.int32, asking=np.int32, askers=np.int32, last=np.int32, lane=np.int64, reads=np.int64, service=np.int64,
    ends=np.int64, used=np.int64, free=np.int64,
)  # fmt: skip
#: `taken`: when the last message will have been taken in. `place`: in `Step.finished`. From `busy_from` on it was not
#: starved; the next three are of the message that ended this.
CORE = _structure(
    taken=np.int64, busy_from=np.int64, travel=np.int64, contention=np.int64, back_pressure=np.int64,
    used=np.int64, served=np.int64, place=np.int64,
)  # fmt: skip
#: `next`: the one behind it in its queue. `core` takes it in, for `work`. The rest is what has happened to it so far.
MESSAGE = _structure(
    next=np.int32, core=np.int32, work=np.int64, travel=np.int64, contention=np.int64, back_pressure=np.int64
)
#: Fields of a lane: how many of its services ended and began; then a ring of ``time << bits | server`` of those that go
#: on, with `NEVER` behind them.
ENDED, BEGUN, RING = range(3)
#: An index that is not tested for being negative; these tests take a third of the time in all.
_at = np.uintp


class Step(NamedTuple):
    """The state of a step.

    Attributes:
        queues, servers, cores, messages: rows as above.
        routes: the link or port that leads from a tile to a core: int32 ``[tiles * cores]``.
        reads: for each tile how many queues are read there, then these in the order of their turns.
        sleeping: how many ports wait for a place, then a heap of ``time << bits | port``, then `NEVER`.
        listed: how many servers may be able to start, then those.
        finished: when each core ends the last `buffer` messages that it was sent, a ring a core: ``[cores * buffer]``.
        links: ports have the numbers from here on.
        buffer: places in an input buffer.
        bits: of a server's number.
        lanes, lane_width: a power of two for the ring, and two.
    """

    queues: Table
    servers: Table
    cores: Table
    messages: Table
    routes: NDArray[np.int32]
    reads: Ints
    lanes: Ints
    sleeping: Ints
    listed: Ints
    finished: Ints
    links: int
    buffer: int
    bits: int
    lane_width: int


@compiled
def _list(step: Step, number: int) -> None:
    """A server may be able to start, as things are now."""
    step.listed[0] += 1
    step.listed[_at(step.listed[0])] = number


@compiled
def _show(step: Step, number: int, now: int) -> None:
    """A queue has a new head: route it and tell its server."""
    queue = step.queues[_at(number)]
    wanted = step.routes[_at(queue["routes"] + step.messages[_at(queue["head"])]["core"])]
    server = step.servers[_at(wanted)]
    queue["wanted"], queue["since"], queue["mark"] = wanted, now, server["used"] - max(server["ends"] - now, 0)
    server["asking"] += 1
    server["askers"] += number
    if server["asking"] == 1 and server["source"] == NONE:
        _list(step, wanted)


@compiled
def _rise(heap: Ints, place: int, key: int) -> None:
    """Put `key` at `place` or above; the heap is that of `Step.sleeping`."""
    while place > 1:
        above = place >> 1
        if heap[_at(above)] <= key:
            break
        heap[_at(place)] = heap[_at(above)]
        place = above
    heap[_at(place)] = key


@compiled
def _pop(heap: Ints) -> int:
    """The hole at the top sinks to a leaf, where the last key fits nearly always: no comparison to guess wrong."""
    size, top, place = heap[0], heap[1], 1
    key = heap[_at(size)]
    heap[0], heap[_at(size)] = size - 1, NEVER
    while 2 * place < size:
        below = 2 * place
        below += heap[_at(below + 1)] < heap[_at(below)]
        heap[_at(place)] = heap[_at(below)]
        place = below
    if size > 1:
        _rise(heap, place, key)
    return int(top)


@compiled
def _choose(step: Step, number: int) -> int:
    """The queue whose turn it is at a server that at least one asks for."""
    server = step.servers[_at(number)]
    if server["asking"] == 1:
        return int(server["askers"])
    reads, turn, source = server["reads"], server["last"], NONE
    count = step.reads[_at(reads)]
    while source == NONE or step.queues[_at(source)]["wanted"] != number:
        turn = turn + 1 if turn + 1 < count else 0
        source = step.reads[_at(reads + 1 + turn)]
    return int(source)


@compiled
def _take(step: Step, number: int, message: Any, arrives: int) -> int:
    """A core will take in a message; returns from when on its buffer has a place for the next one."""
    core, ring = step.cores[_at(number)], number * step.buffer
    begins = core["taken"]
    if arrives > begins:
        begins = core["busy_from"] = arrives
        core["travel"], core["contention"] = message["travel"], message["contention"]
        core["back_pressure"] = message["back_pressure"]
    core["taken"] = begins + message["work"]
    core["used"], core["served"] = core["used"] + message["work"], core["served"] + 1
    place = core["place"]
    step.finished[_at(ring + place)] = core["taken"]
    core["place"] = place = place + 1 if place + 1 < step.buffer else 0
    return int(step.finished[_at(ring + place)])


@compiled
def _begin(step: Step, number: int, now: int) -> None:
    """Server `number`, which can, starts on the head of a queue."""
    source, server = _choose(step, number), step.servers[_at(number)]
    queue = step.queues[_at(source)]
    message, service = step.messages[_at(queue["head"])], server["service"]
    contention = server["used"] - queue["mark"]
    back_pressure = now - queue["since"] - contention
    queue["contention"] += contention
    queue["back_pressure"] += back_pressure
    message["contention"] += contention
    message["back_pressure"] += back_pressure
    message["travel"] += service
    server["used"] += service
    server["ends"], server["source"], server["last"] = now + service, source, queue["turn"]
    lane = server["lane"]
    place = lane + RING + (step.lanes[_at(lane + BEGUN)] & (step.lane_width - RING - 1))
    step.lanes[_at(place)] = server["ends"] << step.bits | number
    step.lanes[_at(lane + BEGUN)] += 1
    if number < step.links:
        step.queues[_at(number)]["places"] += 1
    else:
        server["free"] = _take(step, number - step.links, message, now + service)


@compiled
def _leave(step: Step, number: int, now: int) -> None:
    """The head of a queue goes, and its place is free."""
    queue = step.queues[_at(number)]
    queue["wanted"], queue["head"] = NONE, step.messages[_at(queue["head"])]["next"]
    queue["held"] -= 1
    if queue["places"] == step.buffer:  # not so for an outbox, whose places are 0 and fall
        server = step.servers[_at(number)]
        if server["asking"] and server["source"] == NONE:
            _list(step, number)
    queue["places"] -= 1
    if queue["held"]:
        _show(step, number, now)


@compiled
def _enter(step: Step, number: int, moved: int, now: int) -> None:
    """A message comes to an input buffer."""
    queue = step.queues[_at(number)]
    queue["held"] += 1
    if queue["held"] == 1:
        queue["head"] = queue["tail"] = moved
        _show(step, number, now)
    else:
        step.messages[_at(queue["tail"])]["next"] = moved
        queue["tail"] = moved


@compiled
def _end(step: Step, number: int, now: int) -> None:
    """The service of a link or port ends: the message moves on."""
    server = step.servers[_at(number)]
    source = server["source"]
    moved = step.queues[_at(source)]["head"]
    server["asking"] -= 1
    server["askers"] -= source
    _leave(step, source, now)
    if number < step.links:
        _enter(step, number, moved, now)
    server["source"] = NONE
    if server["asking"]:
        _list(step, number)


@compiled
def _start_listed(step: Step, now: int) -> None:
    """Every idle server that can start does, and a port that cannot is told when it can."""
    for place in range(1, step.listed[0] + 1):
        number = step.listed[_at(place)]
        server = step.servers[_at(number)]
        if server["source"] != NONE or (number < step.links and step.queues[_at(number)]["places"] == step.buffer):
            continue
        if server["free"] > now:
            step.sleeping[0] += 1
            _rise(step.sleeping, step.sleeping[0], server["free"] << step.bits | number)
        else:
            _begin(step, number, now)
    step.listed[0] = 0


@compiled
def _front(step: Step, lane: int) -> int:
    """Where the service of a lane is that ends next."""
    return int(lane + RING + (step.lanes[_at(lane + ENDED)] & (step.lane_width - RING - 1)))


@compiled
def _loop(step: Step) -> None:
    """From moment to moment until nothing goes on, or until a time is `TOO_LATE`: OverflowError."""
    now, bits, lanes, sleeping, width = 0, step.bits, step.lanes, step.sleeping, step.lane_width
    while True:
        _start_listed(step, now)
        key = sleeping[1]
        for lane in range(0, len(lanes), width):
            key = min(key, lanes[_at(_front(step, lane))])
        if key >= TOO_LATE:
            if key < NEVER:
                raise OverflowError
            return
        now = key >> bits
        for lane in range(0, len(lanes), width):
            place = _front(step, lane)
            while lanes[_at(place)] >> bits == now:
                _end(step, lanes[_at(place)] & ((1 << bits) - 1), now)
                lanes[_at(place)] = NEVER
                lanes[_at(lane + ENDED)] += 1
                place = _front(step, lane)
        while sleeping[1] >> bits == now:
            _list(step, _pop(sleeping) & ((1 << bits) - 1))


@compiled
def _roomy(messages: Table, needed: int) -> Table:
    """`messages`, or a longer copy where they are fewer than `needed`."""
    if needed <= len(messages):
        return messages
    longer = np.zeros(2 * needed, MESSAGE)
    for number in range(len(messages)):
        longer[number] = messages[number]
    return longer


@compiled
def _write(messages: Table, end: int, axons: tuple[Ints, ...], row: Bytes, branch: int) -> int:
    """The messages of a branch, from place `end` on; returns where they end."""
    _, at, positions, _, origin, arm, core, times, work = axons
    for place in range(at[branch], at[branch + 1]):
        column = positions[place]
        if row[column]:
            local = column - origin[branch]
            for number in range(arm[branch], arm[branch + 1]):
                time = work[times[number] + local]
                if time >= 0:
                    message = messages[_at(end)]
                    end += 1
                    message["next"], message["core"], message["work"] = end, core[number], time
                    message["travel"] = message["contention"] = message["back_pressure"] = 0
    return end


@compiled
def _filled(mesh: tuple[Any, ...], messages: Table, axons: tuple[Ints, ...], fired: Bytes, rows: Ints) -> Step:
    """The state at the start of a step: every message in its outbox. `messages` is room for them, which may grow."""
    queues, servers, cores, routes, reads, lanes, buffer, bits, lane_width = mesh
    first, at, copies, queues, end = axons[0], axons[1], axons[3], queues.copy(), 0
    for outbox in range(len(cores) + 1):
        begin = end
        for branch in range(first[outbox], first[outbox + 1]):
            if rows[branch] >= 0:
                messages = _roomy(messages, end + copies[at[branch] : at[branch + 1]].sum())
                end = _write(messages, end, axons, fired[rows[branch]], branch)
        queue = queues[len(servers) + outbox]
        queue["head"], queue["held"] = begin, end - begin
    buffer = min(buffer, end + 1)  # more places are never in use
    sleeping = np.full(len(cores) + 3, NEVER)
    sleeping[0] = 0
    return Step(
        queues, servers.copy(), cores.copy(), messages, routes, reads, lanes.copy(), sleeping,
        np.zeros(5 * len(queues) + 1, np.int64), np.zeros(len(cores) * buffer, np.int64),
        len(servers) - len(cores), buffer, bits, lane_width,
    )  # fmt: skip


@compiled
def _add_up(step: Step, per_core: Ints, per_queue: Ints, per_server: Ints) -> None:
    """What a step that has run adds to the arguments of `run_steps`; `per_core` is that of the step."""
    for number in range(len(step.servers)):
        used, service = step.servers[number]["used"], step.servers[number]["service"]
        per_server[number, 0] += used // max(service, 1)  # where no link leads off the mesh, both are 0
        per_server[number, 1] += used
    for number in range(len(step.queues)):
        per_queue[number, 0] += step.queues[number]["contention"]
        per_queue[number, 1] += step.queues[number]["back_pressure"]
    for number in range(len(step.cores)):
        core, found = step.cores[number], per_core[number]
        found[0], found[1], found[6] = core["taken"], core["busy_from"], core["used"]
        path = found[2:6]
        path[TRAVEL], path[CONTENTION], path[BACK_PRESSURE] = core["travel"], core["contention"], core["back_pressure"]
        path[BEHIND] = found[1] - path[TRAVEL] - path[CONTENTION] - path[BACK_PRESSURE]
        per_server[len(step.servers) + number, 0] += core["served"]
        per_server[len(step.servers) + number, 1] += core["used"]


@entry
def run_steps(
    mesh: tuple[Any, ...],
    axons: tuple[Ints, ...],
    fired: Bytes,
    rows: Ints,
    per_core: Ints,
    per_queue: Ints,
    per_server: Ints,
) -> None:
    """Run steps, each until every core has taken in its messages. Raises OverflowError for times near `TOO_LATE`.

    Args:
        mesh: the fields of `snn2chip.hw_models.detailed.topology.Tables`, in their order.
        axons: the fields of `snn2chip.hw_models.detailed.axons.Axons`, in their order.
        fired: uint8 ``[rows, columns]``: events.
        rows: ``[steps, branches]``: the row of `fired` that each branch of the axons sends in a step, -1 for none.
        per_core: ``[steps, cores, 7]``, written: when the last message had been taken in (0 without any), since when
            the core had been busy then, what that moment consists of (`TRAVEL` .. `BEHIND`), and the work.
        per_queue: ``[queues, 2]``, added to: time that heads waited in contention and in back-pressure.
        per_server: ``[servers, 2]``, added to: messages, and time in use; the cores come last.
    """
    messages = np.zeros(1, MESSAGE)
    for number in range(len(rows)):
        step = _filled(mesh, messages, axons, fired, rows[number])
        messages = step.messages
        for queue in range(len(step.servers), len(step.queues)):
            if step.queues[queue]["held"]:
                _show(step, queue, 0)
        _loop(step)
        _add_up(step, per_core[number], per_queue, per_server)
