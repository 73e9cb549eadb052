"""The mesh that a placement spans."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import UserError
from snn2chip.graph import Array
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.detailed.kernel import (
    BEGUN,
    CORE,
    EAST,
    ENDED,
    NEVER,
    NONE,
    NORTH,
    QUEUE,
    RING,
    SERVER,
    SOUTH,
    WEST,
    Ints,
    Table,
)

#: Columns and rows from a tile to its neighbour in each direction.
STEPS = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, -1), SOUTH: (0, 1)}


class Tables(NamedTuple):
    """A mesh with empty queues; `snn2chip.hw_models.detailed.kernel.Step` says what these are."""

    queues: Table
    servers: Table
    cores: Table
    routes: NDArray[np.int32]
    reads: Ints
    lanes: Ints
    buffer: int
    bits: int
    lane_width: int


@dataclass(frozen=True)
class Mesh:
    """Routers, links and cores. Servers and queues are numbered as in `snn2chip.hw_models.detailed.kernel`.

    Attributes:
        tiles, width: of the mesh; tile r lies at ``(r % width, r // width)``.
        cores: how many.
        reads: int64 ``[tiles, ..]``: how many queues are read at each tile, then these in the order of their turns.
        tables: what the kernel runs.
    """

    tiles: int
    width: int
    cores: int
    reads: Ints
    tables: Tables

    @property
    def takers(self) -> slice:
        """The servers that are cores; the queues of the same numbers are their outboxes."""
        return slice(4 * self.tiles + self.cores, 4 * self.tiles + 2 * self.cores)


def picoseconds(seconds: float) -> int:
    """Whole picoseconds, rounded up (a billionth of a picosecond is an error of floating point)."""
    exact = seconds * 1e12
    near = round(exact)
    return near if abs(exact - near) <= 1e-9 * max(1.0, abs(exact)) else math.ceil(exact)


def mesh_of(chip: Chip, x: Array, y: Array) -> Mesh:
    """The mesh whose cores lie at tiles ``x, y`` (``[cores]``), with the chip's times and buffers.

    Raises: UserError naming the key that detailed timing needs and the chip file lacks.
    """
    width, height = int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1
    columns = chip.count("structure.tile_columns")
    crossing = _time(chip, "chip_crossing") if width > columns else 0
    hop_x, hop_y = _time(chip, "hop_x"), _time(chip, "hop_y")
    if chip.limit("limits.buffer_messages") is None:
        raise _missing(chip, "[limits] buffer_messages, the messages that an input buffer holds")
    along_x = [crossing if (column + 1) % columns == 0 else hop_x for column in range(width - 1)]
    return build(width, height, x, y, along_x, hop_y, hop_x, chip.count("limits.buffer_messages"))


def build(
    width: int, height: int, x: Array, y: Array, along_x: list[int], along_y: int, port: int, buffer: int
) -> Mesh:
    """A mesh of ``width * height`` tiles.

    Args:
        x, y: tiles of the cores.
        along_x: time of a message between column i and i + 1, ``[width - 1]``.
        along_y, port: time of a message on a link along y, and on a port.
        buffer: places in an input buffer.
    """
    tiles, cores = width * height, len(x)
    tile_of = (y * width + x).astype(np.int64)
    service = np.zeros(4 * tiles + cores, np.int64)
    service[4 * tiles :] = port
    read: list[list[int]] = [[] for _ in range(tiles)]
    for tile in range(tiles):
        for direction in (EAST, WEST, SOUTH, NORTH):  # what arrives comes from the west, the east, the north, the south
            before = _neighbour(tile, direction ^ 1, width, height)
            if before is not None:
                link = 4 * before + direction
                read[tile].append(link)
                service[link] = along_y if direction >= NORTH else along_x[min(tile, before) % width]
    for core in range(cores):
        read[tile_of[core]].append(4 * tiles + cores + core)
    read[0].append(4 * tiles + 2 * cores)
    lane, lanes = _lanes(service)
    bits = len(service).bit_length()
    queues, lists = _queues(read, tile_of, len(service))
    servers = np.zeros(len(service), SERVER)
    origin = np.concatenate([np.arange(4 * tiles) // 4, tile_of])
    servers["source"], servers["last"], servers["service"] = NONE, NONE, service
    servers["lane"], servers["reads"] = lane * lanes.shape[1], origin * lists.shape[1]
    state = queues, servers, np.zeros(cores, CORE)
    routes = _routes(tile_of, tiles, width).reshape(-1)
    flat = routes, lists.reshape(-1), lanes.reshape(-1)
    return Mesh(tiles, width, cores, lists, Tables(*state, *flat, buffer, bits, lanes.shape[1]))


def _neighbour(tile: int, direction: int, width: int, height: int) -> int | None:
    x, y = tile % width + STEPS[direction][0], tile // width + STEPS[direction][1]
    return y * width + x if 0 <= x < width and 0 <= y < height else None


def _queues(read: list[list[int]], tile_of: Ints, inputs: int) -> tuple[Table, Ints]:
    """Empty queues, and `Mesh.reads`; `read` has the queues that are read at each tile."""
    queues = np.zeros(inputs + len(tile_of) + 1, QUEUE)
    queues["wanted"] = NONE
    reads = np.full((len(read), 1 + max(map(len, read))), NONE, np.int64)
    for tile, found in enumerate(read):
        queues["turn"][found], queues["routes"][found] = range(len(found)), tile * len(tile_of)
        reads[tile, : 1 + len(found)] = [len(found), *found]
    return queues, reads


def _lanes(service: Ints) -> tuple[Ints, Ints]:
    """The lane of every server, and the empty lanes."""
    times = np.unique(service[service > 0])  # a link that would lead off the mesh has none, and never starts
    lanes = np.full((len(times), RING + (1 << len(service).bit_length())), NEVER)
    lanes[:, [ENDED, BEGUN]] = 0
    return np.searchsorted(times, service), lanes


def _routes(tile_of: Ints, tiles: int, width: int) -> NDArray[np.int32]:
    """The link or port that leads from each tile to each core: ``[tiles, cores]``; x first."""
    routes, core = np.empty((tiles, len(tile_of)), np.int32), np.arange(len(tile_of))
    for begin in range(0, tiles, 64):  # all at once take ten times the memory, of which large meshes have none to spare
        tile = np.arange(begin, min(begin + 64, tiles))[:, None]
        right, below = tile_of % width - tile % width, tile_of // width > tile // width
        along_x, along_y = np.where(right > 0, EAST, WEST), np.where(below, SOUTH, NORTH)
        link = 4 * tile + np.where(right != 0, along_x, along_y)
        routes[begin : begin + 64] = np.where(tile_of == tile, 4 * tiles + core, link)
    return routes


def _time(chip: Chip, action: str) -> int:
    price = chip.times.get(action)
    if price is None or price.quantity is None:
        raise _missing(chip, f"[times] {action}, the time of a message on a link")
    if price.quantity.value <= 0:
        raise UserError(f"chip file {chip.path}: [times] {action} is 0, but detailed timing needs a time above 0")
    return picoseconds(price.quantity.value)


def _missing(chip: Chip, what: str) -> UserError:
    return UserError(f"chip file {chip.path}: detailed timing needs {what}: add it, or use summary timing")
