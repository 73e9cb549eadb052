"""Steps on the mesh, message by message. ``docs/decisions/0007-detailed-timing.md`` defines what happens here.

Numbers of servers and queues, for `tiles` routers and `cores` cores: the link that leaves tile r in direction d (east,
west, north, south) is server ``4 * r + d``, the port into core c is ``4 * tiles + c``, and both fill the queue of the
same number. Core c itself is server ``4 * tiles + cores + c``, its outbox is the queue of that number, and the host's
outbox is the last queue. Times are picoseconds from the start of a step.

All that is compiled stands in this one file, for what is kept on disk is told to be stale by its file alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snn2chip.hw_models.compiled import compiled, entry

Ints = NDArray[np.int64]

EAST, WEST, NORTH, SOUTH = range(4)
#: Why the first message of a core's last busy period came no sooner.
TRAVEL, CONTENTION, BACK_PRESSURE, BEHIND = range(4)

# The state of a step is one int64 array, because every further argument slows down each call below. Its header holds
# the lengths of the heap and of the list, the bits of a server's number, sizes, and where the tables start; that of the
# messages comes last.
_GOING, _LISTED, _BITS, _TILES, _CORES, _INPUTS, _BUFFER, _READ_WIDTH = map(np.uintp, range(8))
_QUEUE_AT, _SERVER_AT, _CORE_AT, _RING_AT, _READS_AT, _HEAP_AT, _LIST_AT, _MESSAGE_AT = map(np.uintp, range(8, 16))
_HEADER = 16
# Columns of the tables and their widths. The heap holds time << bits | server for every service that goes on, and the
# list the servers that may be able to start.
_HEAD, _HELD, _PLACES, _WANTED, _SINCE, _MARK, _TURN, _TILE, _COLUMN, _CONTENTION, _BACK_PRESSURE, _QUEUE = range(12)
_SOURCE, _STARTED, _USED, _SERVED, _LAST, _HOME, _SERVICE, _ASKING, _ASKERS, _SERVER = range(10)
_TAKEN, _BUSY_FROM, _PATH, _X, _AT, _CORE = 0, 1, 2, 6, 7, 8  # four columns of `_PATH`
_TARGET, _WORK, _WAITS, _MESSAGE = 0, 1, 2, 5  # three columns of `_WAITS`
#: An index that is not tested for being negative; these tests take a third of the time in all.
_at = np.uintp


@compiled
def _push(state: Ints, key: int) -> None:
    heap, place = state[_HEAP_AT], state[_GOING]
    state[_GOING] += 1
    while place > 0:
        above = (place - 1) >> 1
        if state[_at(heap + above)] <= key:
            break
        state[_at(heap + place)] = state[_at(heap + above)]
        place = above
    state[_at(heap + place)] = key


@compiled
def _pop(state: Ints) -> int:
    heap, size = state[_HEAP_AT], state[_GOING] - 1
    state[_GOING] = size
    top, key, place, below = state[_at(heap)], state[_at(heap + size)], 0, 1
    while below < size:
        if below + 1 < size and state[_at(heap + below + 1)] < state[_at(heap + below)]:
            below += 1
        if state[_at(heap + below)] >= key:
            break
        state[_at(heap + place)] = state[_at(heap + below)]
        place, below = below, 2 * below + 1
    state[_at(heap + place)] = key
    return int(top)


@compiled
def _wake(state: Ints, number: int) -> None:
    """List a server if it can start as things are; whatever changes them calls this again."""
    server = state[_SERVER_AT] + number * _SERVER
    if state[_at(server + _SOURCE)] >= 0 or not state[_at(server + _ASKING)]:
        return
    if number < state[_INPUTS] and state[_at(state[_QUEUE_AT] + number * _QUEUE + _PLACES)] == state[_BUFFER]:
        return
    state[_at(state[_LIST_AT] + state[_LISTED])] = number
    state[_LISTED] += 1


@compiled
def _head(state: Ints, number: int) -> int:
    """Where the message at the head of a queue is; an outbox holds messages that lie one after the other."""
    place = state[_at(state[_QUEUE_AT] + number * _QUEUE + _HEAD)]
    return int(state[_at(state[_RING_AT] + number * state[_BUFFER] + place)] if number < state[_INPUTS] else place)


@compiled
def _route(state: Ints, tile: int, x: int, goal: int) -> int:
    """The link or port that leads from a tile in column x to core `goal`."""
    core = state[_CORE_AT] + goal * _CORE
    if state[_at(core + _AT)] == tile:
        return int(4 * state[_TILES] + goal)
    if state[_at(core + _X)] != x:
        return 4 * tile + (EAST if state[_at(core + _X)] > x else WEST)
    return 4 * tile + (SOUTH if state[_at(core + _AT)] > tile else NORTH)


@compiled
def _show(state: Ints, number: int, now: int) -> None:
    """A queue has a new head: route it and tell its server."""
    queue = state[_QUEUE_AT] + number * _QUEUE
    if 4 * state[_TILES] <= number < state[_INPUTS]:
        wanted = number + state[_CORES]
    else:
        goal = state[_at(_head(state, number) + _TARGET)]
        wanted = _route(state, state[_at(queue + _TILE)], state[_at(queue + _COLUMN)], goal)
    server = state[_SERVER_AT] + wanted * _SERVER
    used = state[_at(server + _USED)]
    if state[_at(server + _SOURCE)] >= 0:
        used += now - state[_at(server + _STARTED)]
    state[_at(queue + _WANTED)], state[_at(queue + _SINCE)], state[_at(queue + _MARK)] = wanted, now, used
    state[_at(server + _ASKING)] += 1
    state[_at(server + _ASKERS)] += number
    _wake(state, wanted)


@compiled
def _take(state: Ints, core: int, message: int, now: int) -> None:
    """A core that was starved starts on a message: this is how it got here."""
    state[_at(core + _BUSY_FROM)] = now
    behind = now
    for column in range(3):
        state[_at(core + _PATH + column)] = state[_at(message + _WAITS + column)]
        behind -= state[_at(message + _WAITS + column)]
    state[_at(core + _PATH + BEHIND)] = behind


@compiled
def _move(state: Ints, number: int, source: int, message: int, now: int) -> int:
    """A link or port starts on the message at the head of `source`; returns how long it takes."""
    server, queue = state[_SERVER_AT] + number * _SERVER, state[_QUEUE_AT] + source * _QUEUE
    contention = state[_at(server + _USED)] - state[_at(queue + _MARK)]
    back_pressure = now - state[_at(queue + _SINCE)] - contention
    state[_at(queue + _CONTENTION)] += contention
    state[_at(queue + _BACK_PRESSURE)] += back_pressure
    state[_at(message + _WAITS + TRAVEL)] += state[_at(server + _SERVICE)]
    state[_at(message + _WAITS + CONTENTION)] += contention
    state[_at(message + _WAITS + BACK_PRESSURE)] += back_pressure
    state[_at(server + _LAST)] = state[_at(queue + _TURN)]
    state[_at(state[_QUEUE_AT] + number * _QUEUE + _PLACES)] += 1
    return int(state[_at(server + _SERVICE)])


@compiled
def _begin(state: Ints, number: int, source: int, now: int) -> None:
    """Server `number` starts on the head of queue `source`."""
    message, server = _head(state, source), state[_SERVER_AT] + number * _SERVER
    if number < state[_INPUTS]:
        duration = _move(state, number, source, message, now)
    else:
        duration, core = state[_at(message + _WORK)], state[_CORE_AT] + (number - state[_INPUTS]) * _CORE
        if now > state[_at(core + _TAKEN)]:
            _take(state, core, message, now)
    state[_at(server + _SOURCE)], state[_at(server + _STARTED)] = source, now
    _push(state, ((now + duration) << state[_BITS]) | number)


@compiled
def _choose(state: Ints, number: int) -> int:
    """The queue whose turn it is at a server that at least one asks for."""
    server, queues = state[_SERVER_AT] + number * _SERVER, state[_QUEUE_AT]
    if state[_at(server + _ASKING)] == 1:
        return int(state[_at(server + _ASKERS)])
    reads, turn = state[_READS_AT] + state[_at(server + _HOME)] * state[_READ_WIDTH], state[_at(server + _LAST)]
    count, source = state[_at(reads)], -1
    while source < 0 or state[_at(queues + source * _QUEUE + _WANTED)] != number:
        turn = turn + 1 if turn + 1 < count else 0
        source = state[_at(reads + 1 + turn)]
    return int(source)


@compiled
def _leave(state: Ints, number: int, now: int) -> None:
    """The head of a queue goes, and its place is free."""
    queue = state[_QUEUE_AT] + number * _QUEUE
    server = state[_SERVER_AT] + state[_at(queue + _WANTED)] * _SERVER
    state[_at(server + _ASKING)] -= 1
    state[_at(server + _ASKERS)] -= number
    state[_at(queue + _WANTED)] = -1
    state[_at(queue + _HELD)] -= 1
    if number < state[_INPUTS]:
        head = state[_at(queue + _HEAD)] + 1
        state[_at(queue + _HEAD)] = head if head < state[_BUFFER] else 0
        state[_at(queue + _PLACES)] -= 1
        _wake(state, number)
    else:
        state[_at(queue + _HEAD)] += _MESSAGE
    if state[_at(queue + _HELD)]:
        _show(state, number, now)


@compiled
def _end(state: Ints, number: int, now: int) -> None:
    """The service of server `number` ends: the message moves on."""
    server = state[_SERVER_AT] + number * _SERVER
    source = state[_at(server + _SOURCE)]
    message = _head(state, source)
    state[_at(server + _USED)] += now - state[_at(server + _STARTED)]
    state[_at(server + _SERVED)] += 1
    state[_at(server + _SOURCE)] = -1
    _leave(state, source, now)
    _wake(state, number)
    if number >= state[_INPUTS]:
        state[_at(state[_CORE_AT] + (number - state[_INPUTS]) * _CORE + _TAKEN)] = now
        return
    queue = state[_QUEUE_AT] + number * _QUEUE
    place = state[_at(queue + _HEAD)] + state[_at(queue + _HELD)]
    if place >= state[_BUFFER]:
        place -= state[_BUFFER]
    state[_at(state[_RING_AT] + number * state[_BUFFER] + place)] = message
    state[_at(queue + _HELD)] += 1
    if state[_at(queue + _HELD)] == 1:
        _show(state, number, now)


@compiled
def _loop(state: Ints) -> None:
    """From moment to moment until nothing goes on."""
    now, bits = 0, state[_BITS]
    while True:
        for place in range(state[_LISTED]):
            number = state[_at(state[_LIST_AT] + place)]
            if state[_at(state[_SERVER_AT] + number * _SERVER + _SOURCE)] < 0:
                _begin(state, number, _choose(state, number), now)
        state[_LISTED] = 0
        if not state[_GOING]:
            return
        now = state[_at(state[_HEAP_AT])] >> bits
        while state[_GOING] and state[_at(state[_HEAP_AT])] >> bits == now:
            _end(state, _pop(state) & ((1 << bits) - 1), now)


@compiled
def _count(axons: tuple[Ints, ...], fired: NDArray[np.uint8], rows: Ints, outbox: int) -> int:
    """Messages in an outbox."""
    first, at, positions, copies = axons[0], axons[1], axons[2], axons[3]
    count = 0
    for branch in range(first[outbox], first[outbox + 1]):
        if rows[branch] >= 0:
            row = fired[rows[branch]]
            for place in range(at[branch], at[branch + 1]):
                if row[positions[place]]:
                    count += copies[place]
    return count


@compiled
def _write(state: Ints, axons: tuple[Ints, ...], fired: NDArray[np.uint8], rows: Ints) -> None:
    """All messages of a step, one outbox after the other."""
    _, at, positions, _, origin, arm, core, times, work = axons
    end = state[_MESSAGE_AT]
    for branch in range(len(rows)):
        if rows[branch] < 0:
            continue
        row = fired[rows[branch]]
        for place in range(at[branch], at[branch + 1]):
            column = positions[place]
            if row[column]:
                local = column - origin[branch]
                for number in range(arm[branch], arm[branch + 1]):
                    time = work[times[number] + local]
                    if time >= 0:
                        state[end + _TARGET], state[end + _WORK] = core[number], time
                        end += _MESSAGE


@compiled
def _filled(template: Ints, axons: tuple[Ints, ...], fired: NDArray[np.uint8], rows: Ints) -> Ints:
    """The state at the start of a step: every message in its outbox, and every head shown to its server."""
    outboxes = template[_CORES] + 1
    counts = np.zeros(outboxes, np.int64)
    for outbox in range(outboxes):
        counts[outbox] = _count(axons, fired, rows, outbox)
    state = np.zeros(len(template) + counts.sum() * _MESSAGE, np.int64)
    state[: len(template)] = template
    _write(state, axons, fired, rows)
    first = state[_MESSAGE_AT]
    for outbox in range(outboxes):
        queue = state[_QUEUE_AT] + (state[_INPUTS] + outbox) * _QUEUE
        state[queue + _HEAD], state[queue + _HELD] = first, counts[outbox]
        first += counts[outbox] * _MESSAGE
        if counts[outbox]:
            _show(state, state[_INPUTS] + outbox, 0)
    return state


@entry
def run_steps(
    template: Ints,
    axons: tuple[Ints, ...],
    fired: NDArray[np.uint8],
    rows: Ints,
    per_core: Ints,
    per_queue: Ints,
    per_server: Ints,
) -> None:
    """Run steps, each until every core has taken in its messages.

    Args:
        template: what `template` makes of a mesh.
        axons: the fields of `snn2chip.hw_models.detailed.axons.Axons`, in their order.
        fired: uint8 ``[rows, columns]``: events.
        rows: ``[steps, branches]``: the row of `fired` that each branch of the axons sends in a step, -1 for none.
        per_core: ``[steps, cores, 7]``, written: when the last message had been taken in (0 without any), since when
            the core had been busy then, and what that moment consists of (`TRAVEL` .. `BEHIND`).
        per_queue: ``[queues, 2]``, added to: time that heads waited in contention and in back-pressure.
        per_server: ``[servers, 2]``, added to: messages, and time in use.
    """
    for step in range(len(rows)):
        state = _filled(template, axons, fired, rows[step])
        _loop(state)
        for number in range(per_core.shape[1]):
            core = state[_CORE_AT] + number * _CORE
            server = state[_SERVER_AT] + (state[_INPUTS] + number) * _SERVER
            per_core[step, number, :6] = state[core : core + 6]
            per_core[step, number, 6] = state[server + _USED]
        for number in range(len(per_queue)):
            queue = state[_QUEUE_AT] + number * _QUEUE
            per_queue[number] += state[queue + _CONTENTION : queue + _CONTENTION + 2]
        for number in range(len(per_server)):
            server = state[_SERVER_AT] + number * _SERVER
            per_server[number, 0] += state[server + _SERVED]
            per_server[number, 1] += state[server + _USED]


def template(
    tiles: int, width: int, buffer: int, tile_of: Ints, service: Ints, origin: Ints, reads: Ints, home: Ints, turn: Ints
) -> Ints:
    """A mesh with empty queues, as `run_steps` takes it.

    Args:
        tiles, width: of the mesh; tile r lies at ``(r % width, r // width)``.
        buffer: places in an input buffer.
        tile_of: ``[cores]``.
        service, origin: ``[4 * tiles + cores]``: of each link and port, the time of a message and the tile before it.
        reads: ``[tiles, ..]``: how many queues are read at each tile, then these in the order of their turns.
        home, turn: ``[queues]``: the tile at which each queue is read, and its place among those.
    """
    inputs, cores = len(service), len(tile_of)
    queue, server = np.zeros((inputs + cores + 1, _QUEUE), np.int64), np.zeros((inputs + cores, _SERVER), np.int64)
    core, header = np.zeros((cores, _CORE), np.int64), np.zeros(_HEADER, np.int64)
    queue[:, _WANTED], queue[:, _TURN], queue[:, _TILE], queue[:, _COLUMN] = -1, turn, home, home % width
    server[:, _SOURCE], server[:, _LAST] = -1, -1
    server[:inputs, _SERVICE], server[:inputs, _HOME] = service, origin
    core[:, _AT], core[:, _X] = tile_of, tile_of % width
    ring, heap, listed = (np.zeros(size, np.int64) for size in (inputs * buffer, len(server), 4 * len(server) + 1))
    tables = (queue, server, core, ring, reads, heap, listed)
    header[_QUEUE_AT:] = _HEADER + np.cumsum([0, *(table.size for table in tables)])
    header[_BITS], header[_TILES] = len(server).bit_length(), tiles
    header[_CORES], header[_INPUTS], header[_BUFFER], header[_READ_WIDTH] = cores, inputs, buffer, reads.shape[1]
    return np.concatenate([header, *(table.reshape(-1) for table in tables)]).astype(np.int64)
