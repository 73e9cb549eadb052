"""Which tile every core in use gets: the default order, or one in which messages cross fewer links.

Cutting a network into cores stays as it is: only the places of the cores change, and with them hops and crossings.
Placing communicating cores on a mesh is a quadratic assignment problem (Koopmans and Beckmann, Econometrica 25, 1957),
which no method solves exactly at this size: two starts are improved by exchanging pairs, single cores and then whole
tiles, until no exchange saves anything. The better one is shaken and improved again a few times (iterated local
search). Where there are too many cores for a number per pair, cores lie row by row or column by column, whichever is
better, and single ones are exchanged (`snn2chip.hw_models.swaps`). The same input gives the same arrangement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from snn2chip.errors import UserError
from snn2chip.graph import Array
from snn2chip.hw_models.flows import Floats, Flow, Ints, flows_of, links_crossed
from snn2chip.hw_models.placement import Placement, Slot, seats

#: How cores can be arranged; ``fastest`` is the one of the two that detailed timing finds to be faster.
ARRANGEMENTS = ("default", "optimised")
FASTEST = "fastest"
#: How often the best arrangement is shaken, the share of its cores that is moved then, and the seed of what is moved.
_SHAKES, _SHAKEN, _SEED = 32, 0.2, 0
#: Arrangements of more cores than these are not shaken: every shake takes about a second where there are a thousand.
_FEW_ENOUGH_TO_SHAKE = 256
#: The first search keeps a number for every pair of cores, and takes time with more than their square.
_MOST_CORES = 2048
#: Beyond: passes over all cores at most, and how many tiles around a place partners for an exchange are looked for.
_PASSES, _REACH = 12, 2


def check_arrangement(name: str, detailed: bool = False) -> None:
    """UserError where there is no such arrangement, or the fastest is asked for without `detailed` timing."""
    if name == FASTEST and not detailed:
        raise UserError(
            "placement 'fastest' compares placements by detailed timing: simulate with --timing detailed, or ask for "
            "'optimised'"
        )
    if name not in (*ARRANGEMENTS, FASTEST):
        raise UserError(f"placement {name!r} is unknown: give {', '.join(map(repr, ARRANGEMENTS))} or {FASTEST!r}")


def arranged(placement: Placement, name: str, events: Mapping[str, Array] | None = None) -> Placement:
    """`placement` itself for ``default``; `optimised` for ``optimised``. Raises UserError for another name."""
    check_arrangement(name)
    return placement if name == "default" else optimised(placement, events)


def optimised(placement: Placement, events: Mapping[str, Array] | None = None) -> Placement:
    """The same cores on other tiles, so that fewer links (and borders between chips, counted like links) are crossed.

    No more tiles and chips are in use than before.

    Args:
        events: per population, how often each neuron fires ``[*shape]``; None: every neuron equally often.
    """
    flows = flows_of(placement, events)
    if placement.cores > _MOST_CORES:
        return _optimised_without_pairs(placement, flows)
    board = _board(placement)
    flow, entering = messages(placement.cores, flows)
    spare = len(board.home) - len(flow)  # empty seats on tiles in use, which cores may be moved to
    traffic = _Traffic(np.pad(flow + flow.T, (0, spare)), np.pad(entering, (0, spare)))
    found = min(
        (_improved(board, traffic, start) for start in (board.home, _greedy(board, traffic))),
        key=lambda tiles: cost(board, traffic, tiles),
    )
    found = _shaken(board, traffic, found)
    if cost(board, traffic, found) >= cost(board, traffic, board.home):
        found = board.home
    slots = {
        name: tuple(_moved(slot, board, found[slot.index]) for slot in slots) for name, slots in placement.slots.items()
    }
    return replace(placement, slots=slots, arrangement="optimised")


def messages(cores: int, flows: tuple[Flow, ...]) -> tuple[Floats, Floats]:
    """Messages between cores ``[cores, cores]`` (from row to column) and from the input to each core ``[cores]``."""
    flow, entering = np.zeros((cores, cores)), np.zeros(cores)
    for each in flows:
        if each.enters:
            entering[each.targets] += each.sent
        else:
            flow[np.ix_(each.sources, each.targets)] += each.sent[:, None]
    return flow, entering


def _optimised_without_pairs(placement: Placement, flows: tuple[Flow, ...]) -> Placement:
    from snn2chip.hw_models.swaps import improved  # the compiler takes a second to import

    width, cores = placement.chip.count("structure.tile_columns"), placement.cores
    every = np.array([*islice(seats(placement.chip), placement.chips * placement.cores_per_chip)], np.int64)[:, 2:]
    _, tile = np.unique(every, axis=0, return_inverse=True)
    places = every[np.isin(tile, tile[:cores])]
    by_column = places[np.lexsort((places[:, 1], places[:, 0]))]

    def crossed(order: Ints) -> float:
        return links_crossed(flows, order[:cores], width)

    found = improved(flows, min((places, by_column), key=crossed), width, (_PASSES, _REACH))
    found = min((places, found), key=crossed)
    slots = {
        name: tuple(_at(slot, int(found[slot.index, 0]), int(found[slot.index, 1]), width) for slot in held)
        for name, held in placement.slots.items()
    }
    return replace(placement, slots=slots, arrangement="optimised")


def _at(slot: Slot, x: int, y: int, tile_columns: int) -> Slot:
    return replace(slot, chip=x // tile_columns, x=x, y=y)


@dataclass(frozen=True)
class _Board:
    """The tiles of the chips in use.

    Attributes:
        places: (chip, x, y) of every tile.
        seats: cores that every tile has ``[tiles]``.
        distance: links and borders between chips from tile to tile ``[tiles, tiles]``; the input enters at tile 0.
        home: the tile of every core by default, then those of the seats left empty on tiles in use.
    """

    places: tuple[tuple[int, int, int], ...]
    seats: Ints
    distance: Floats
    home: Ints


def _board(placement: Placement) -> _Board:
    every = [seat[1:] for seat in islice(seats(placement.chip), placement.chips * placement.cores_per_chip)]
    places = tuple(dict.fromkeys(every))
    number = {place: tile for tile, place in enumerate(places)}
    tile_of = np.array([number[place] for place in every], np.int64)
    used = np.isin(tile_of, tile_of[: placement.cores])
    at = np.array(places, np.int64)
    distance = np.abs(at[:, None] - at[None, :]).sum(axis=2).astype(np.float64)
    return _Board(places, np.bincount(tile_of), distance, tile_of[used])


@dataclass(frozen=True)
class _Traffic:
    """Messages between any two units in both directions ``[units, units]``, and from the input ``[units]``."""

    flow: Floats
    entering: Floats


def cost(board: _Board, traffic: _Traffic, tiles: Ints) -> float:
    """Messages times the links and borders that they cross; whole numbers, far below 2^53."""
    between = float((traffic.flow * board.distance[np.ix_(tiles, tiles)]).sum()) / 2
    return between + float(traffic.entering @ board.distance[0, tiles])


def _greedy(board: _Board, traffic: _Traffic) -> Ints:
    """Cores in the order of the network, each on the tile that is cheapest for what it hears from those before it."""
    free = np.bincount(board.home, minlength=len(board.seats))
    tiles = np.zeros_like(board.home)
    for unit in range(len(tiles)):
        price = traffic.flow[unit, :unit] @ board.distance[tiles[:unit]] + traffic.entering[unit] * board.distance[0]
        tiles[unit] = int(np.where(free > 0, price, np.inf).argmin())
        free[tiles[unit]] -= 1
    return tiles


def _improved(board: _Board, traffic: _Traffic, tiles: Ints) -> Ints:
    """Exchanges of cores, then of whole tiles (empty ones included), until neither saves anything."""
    before = np.inf
    while (now := cost(board, traffic, tiles)) < before:
        before = now
        tiles = _exchanged(board.distance, traffic, tiles, np.zeros(len(tiles), np.int64))
        groups = np.zeros((len(board.seats), len(tiles)))
        groups[tiles, np.arange(len(tiles))] = 1.0
        together = _Traffic(groups @ traffic.flow @ groups.T, groups @ traffic.entering)
        np.fill_diagonal(together.flow, 0.0)
        tiles = _exchanged(board.distance, together, np.arange(len(board.seats)), board.seats)[tiles]
    return tiles


def _shaken(board: _Board, traffic: _Traffic, best: Ints) -> Ints:
    """The best of what follows from moving some cores at random and improving the whole again."""
    if len(best) > _FEW_ENOUGH_TO_SHAKE:
        return best
    random, moved = np.random.default_rng(_SEED), max(2, round(_SHAKEN * len(best)))
    for _ in range(_SHAKES if len(best) > 1 else 0):
        tiles = best.copy()
        some = random.permutation(len(best))[:moved]
        tiles[some] = np.roll(tiles[some], 1)
        tiles = _improved(board, traffic, tiles)
        if cost(board, traffic, tiles) < cost(board, traffic, best):
            best = tiles
    return best


def _exchanged(distance: Floats, traffic: _Traffic, start: Ints, kinds: Ints) -> Ints:
    """The tiles of all units after every exchange of two that saves links; only units of one kind change places."""
    tiles, flow = start.copy(), traffic.flow
    price = flow @ distance[tiles] + traffic.entering[:, None] * distance[0]  # of each unit on each tile
    units = np.arange(len(tiles))
    saved = True
    while saved:
        saved = False
        for unit in units:
            here = tiles[unit]
            change = price[unit, tiles] - price[unit, here] + price[:, here] - price[units, tiles]
            change += 2 * flow[unit] * distance[here, tiles]
            other = int(np.where(kinds == kinds[unit], change, 0.0).argmin())
            if change[other] >= 0 or kinds[other] != kinds[unit]:
                continue
            there = tiles[other]
            touched = np.flatnonzero(flow[unit] - flow[other])
            shift = distance[there] - distance[here]
            price[touched] += np.outer((flow[unit] - flow[other])[touched], shift)
            tiles[unit], tiles[other], saved = there, here, True
    return tiles


def _moved(slot: Slot, board: _Board, tile: int) -> Slot:
    chip, x, y = board.places[tile]
    return replace(slot, chip=chip, x=x, y=y)
