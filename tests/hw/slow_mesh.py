"""docs/decisions/0007-detailed-timing.md, written plainly: a clock that moves tick by tick, messages that are objects.

Nothing of the package is used here, and nothing is fast.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Message:
    """`core` takes it in, which takes `work` ticks. What has happened to it so far, in ticks:"""

    core: int
    work: int
    travel: int = 0
    contention: int = 0
    back_pressure: int = 0
    behind: int = 0


@dataclass(eq=False)
class Queue:
    """An outbox (`places` None) or an input buffer."""

    places: int | None
    messages: deque[Message] = field(default_factory=deque)
    promised: int = 0
    contention: int = 0
    back_pressure: int = 0

    @property
    def has_room(self) -> bool:
        return self.places is None or len(self.messages) + self.promised < self.places


@dataclass(eq=False)
class Server:
    """A link, a port or a core (`behind` None); it serves the heads of `reads` that are routed to it."""

    reads: list[Queue]
    behind: Queue | None
    ticks: int
    serving: Queue | None = None
    ends: int = 0
    turn: int = 0
    served: int = 0
    busy: int = 0


@dataclass
class Core:
    tile: tuple[int, int]
    outbox: Queue
    buffer: Queue
    taken: int = 0
    busy_from: int = 0
    path: tuple[int, int, int, int] = (0, 0, 0, 0)


class SlowMesh:
    """One step.

    Args:
        tiles: ``(x, y)`` of every core.
        outboxes: messages of every core, and of the host at last.
        hop_x, hop_y, crossing: ticks; `crossing` for a link along x over a border between chips.
        columns: of the tiles of one chip.
        places: of an input buffer.
    """

    def __init__(
        self,
        tiles: list[tuple[int, int]],
        outboxes: list[list[Message]],
        hop_x: int,
        hop_y: int,
        crossing: int,
        columns: int,
        places: int,
    ) -> None:
        width, height = 1 + max(x for x, _ in tiles), 1 + max(y for _, y in tiles)
        self.cores = [
            Core(tile, Queue(None, deque(messages)), Queue(places))
            for tile, messages in zip(tiles, outboxes[:-1], strict=True)
        ]
        self.host = Queue(None, deque(outboxes[-1]))
        self.at: dict[tuple[int, int], list[Queue]] = {}
        self.links: dict[tuple[tuple[int, int], tuple[int, int]], Server] = {}
        grid = [(x, y) for y in range(height) for x in range(width)]
        for x, y in grid:
            self.at[x, y] = []
            for origin in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
                if origin in grid:
                    ticks = hop_y
                    if origin[1] == y:
                        ticks = hop_x if origin[0] // columns == x // columns else crossing
                    buffer = Queue(places)
                    self.at[x, y].append(buffer)
                    self.links[origin, (x, y)] = Server([], buffer, ticks)
            self.at[x, y] += [core.outbox for core in self.cores if core.tile == (x, y)]
        self.at[0, 0].append(self.host)
        for (origin, _), link in self.links.items():
            link.reads = self.at[origin]
        self.ports = [Server(self.at[core.tile], core.buffer, hop_x) for core in self.cores]
        self.takers = [Server([core.buffer], None, 0) for core in self.cores]

    def server_of(self, queue: Queue) -> Server:
        """The server that the head of `queue` is routed to."""
        for core, taker in zip(self.cores, self.takers, strict=True):
            if queue is core.buffer:
                return taker
        (x, y), goal = next(tile for tile in self.at.items() if queue in tile[1])[0], queue.messages[0].core
        to_x, to_y = self.cores[goal].tile
        if to_x != x:
            return self.links[(x, y), (x + (1 if to_x > x else -1), y)]
        if to_y != y:
            return self.links[(x, y), (x, y + (1 if to_y > y else -1))]
        return self.ports[goal]

    @property
    def servers(self) -> list[Server]:
        return [*self.links.values(), *self.ports, *self.takers]

    @property
    def queues(self) -> list[Queue]:
        return [queue for queues in self.at.values() for queue in queues] + [core.buffer for core in self.cores]

    def run(self) -> None:
        """Until no message is left."""
        now = 0
        while True:
            while self.end(now) | self.start(now):
                pass
            if not any(queue.messages for queue in self.queues):
                return
            self.wait()
            now += 1

    def end(self, now: int) -> bool:
        """All services that end now; whether there was any."""
        ending = [server for server in self.servers if server.serving is not None and server.ends == now]
        for server in ending:
            assert server.serving is not None
            message = server.serving.messages.popleft()
            server.serving = None
            server.served += 1
            if server.behind is None:
                self.cores[self.takers.index(server)].taken = now
            else:
                server.behind.promised -= 1
                server.behind.messages.append(message)
        return bool(ending)

    def start(self, now: int) -> bool:
        """Every idle server that can start; whether there was any."""
        started = False
        for server in self.servers:
            if server.serving is None and (server.behind is None or server.behind.has_room):
                started |= self.pick(server, now)
        return started

    def pick(self, server: Server, now: int) -> bool:
        for number in range(len(server.reads)):
            place = (server.turn + number) % len(server.reads)
            queue = server.reads[place]
            if queue.messages and self.server_of(queue) is server:
                server.turn = place + 1
                self.serve(server, queue, now)
                return True
        return False

    def serve(self, server: Server, queue: Queue, now: int) -> None:
        message = queue.messages[0]
        server.serving = queue
        server.ends = now + server.ticks
        if server.behind is not None:
            server.behind.promised += 1
            return
        server.ends = now + message.work
        core = self.cores[self.takers.index(server)]
        if now > core.taken:
            core.busy_from = now
            core.path = (message.travel, message.contention, message.back_pressure, message.behind)

    def wait(self) -> None:
        """One tick passes."""
        for server in self.servers:
            server.busy += server.serving is not None
        for queue in self.queues:
            for message in list(queue.messages)[1:]:
                message.behind += 1
            if queue.messages:
                self.wait_at_head(queue, queue.messages[0])

    def wait_at_head(self, queue: Queue, message: Message) -> None:
        server = self.server_of(queue)
        if server.serving is queue:
            message.travel += server.behind is not None
        elif server.serving is not None:
            queue.contention += 1
            message.contention += 1
        else:
            queue.back_pressure += 1
            message.back_pressure += 1
