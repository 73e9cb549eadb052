"""Exchanges of cores between tiles that save links, for placements too large for a number per pair of cores.

A core knows the flows that it takes part in, and a flow the links from any column and row to all its ends: the price
of a core on every tile costs no more than the mesh is wide. Compiled; `snn2chip.hw_models.arrangement` calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snn2chip.hw_models.compiled import compiled, entry
from snn2chip.hw_models.flows import Flow, Ints, distances


def improved(flows: tuple[Flow, ...], tiles: Ints, tile_columns: int, search: tuple[int, int]) -> Ints:
    """Tiles of all units (cores, then empty seats) after the exchanges that save links: int64 ``[units, 2]``.

    Args:
        tiles: column and row of every unit before.
        tile_columns: columns of one chip; chips stand side by side.
        search: passes over all units at most, and how far from a tile partners are looked for.
    """
    at = tiles[:, 0].copy(), tiles[:, 1].copy()
    across, along = distances(int(at[0].max()) + 1, tile_columns), distances(int(at[1].max()) + 1)
    number = at[0] * len(along) + at[1]
    held = np.argsort(number, kind="stable")
    first = np.searchsorted(number[held], np.arange(len(across) * len(along) + 1))
    sums = tuple(np.zeros((len(flows), size)) for size in (len(across), len(across), len(along), len(along)))
    for index, flow in enumerate(flows):
        if flow.enters:
            sums[0][index], sums[2][index] = flow.sent * across[0], flow.sent * along[0]
    exchanged(_ends(flows, len(at[0])), at, (first, held, np.argsort(held)), sums, (across, along), search)
    return np.stack(at, axis=1)


def _ends(flows: tuple[Flow, ...], units: int) -> tuple[Any, ...]:
    """Per unit, the flows that it sends (with messages to each target) and those that reach it."""
    numbers = np.arange(len(flows))
    source = np.concatenate([flow.sources for flow in flows])
    sent = np.concatenate([flow.sent[: len(flow.sources)] for flow in flows])
    sends = np.repeat(numbers, [len(flow.sources) for flow in flows])
    target = np.concatenate([flow.targets for flow in flows])
    hears = np.repeat(numbers, [len(flow.targets) for flow in flows])
    out, into = np.argsort(source, kind="stable"), np.argsort(target, kind="stable")
    bounds = np.arange(units + 1)
    out_first, in_first = np.searchsorted(source[out], bounds), np.searchsorted(target[into], bounds)
    return out_first, sends[out], sent[out], in_first, hears[into]


@compiled
def add_ends(link_sums: Any, distance: Any, flow: int, place: int, weight: float) -> None:
    """Count one more end of `flow` at `place`: ``link_sums [flows, places]`` are the links from any place to all."""
    for other in range(len(distance)):
        link_sums[flow, other] += weight * distance[place, other]


@compiled
def count_ends(ends: Any, columns: Any, rows: Any, across: Any, along: Any, sums: Any) -> None:
    """The link sums of all flows: ``sums`` are those of (senders, receivers) by column, then by row."""
    for unit in range(len(columns)):
        move_ends(ends, unit, columns[unit], rows[unit], 1.0, across, along, sums)


@compiled
def move_ends(ends: Any, unit: int, column: int, row: int, sign: float, across: Any, along: Any, sums: Any) -> None:
    out_first, out_flow, out_sent, in_first, in_flow = ends
    for index in range(out_first[unit], out_first[unit + 1]):
        add_ends(sums[0], across, out_flow[index], column, sign * out_sent[index])
        add_ends(sums[2], along, out_flow[index], row, sign * out_sent[index])
    for index in range(in_first[unit], in_first[unit + 1]):
        add_ends(sums[1], across, in_flow[index], column, sign)
        add_ends(sums[3], along, in_flow[index], row, sign)


@compiled
def price(ends: Any, unit: int, column: int, row: int, sums: Any) -> float:
    """Messages times links of one unit, were it at `column` and `row`."""
    out_first, out_flow, out_sent, in_first, in_flow = ends
    found = 0.0
    for index in range(out_first[unit], out_first[unit + 1]):
        flow = out_flow[index]
        found += out_sent[index] * (sums[1][flow, column] + sums[3][flow, row])
    for index in range(in_first[unit], in_first[unit + 1]):
        flow = in_flow[index]
        found += sums[0][flow, column] + sums[2][flow, row]
    return found


@compiled
def between(ends: Any, source: int, target: int) -> float:
    """Messages from one unit to another."""
    out_first, out_flow, out_sent, in_first, in_flow = ends
    found = 0.0
    for index in range(out_first[source], out_first[source + 1]):
        for reached in range(in_first[target], in_first[target + 1]):
            if out_flow[index] == in_flow[reached]:
                found += out_sent[index]
    return found


@compiled
def cheapest(ends: Any, unit: int, sums: Any, sizes: Any) -> tuple[int, int]:
    """The column and row where the unit would cross the fewest links."""
    columns, rows = sizes
    best_column, best_row = 0, 0
    least = np.inf
    for column in range(columns):
        found = price(ends, unit, column, 0, sums)
        if found < least:
            least, best_column = found, column
    least = np.inf
    for row in range(rows):
        found = price(ends, unit, 0, row, sums)
        if found < least:
            least, best_row = found, row
    return best_column, best_row


@compiled
def best_partner(ends: Any, unit: int, at: Any, seats: Any, window: Any, sums: Any, across: Any, along: Any) -> int:
    """The unit in the window of tiles with which an exchange saves most; -1 where none saves anything."""
    columns, rows = at
    first, held = seats
    column, row = columns[unit], rows[unit]
    here = price(ends, unit, column, row, sums)
    partner, least = -1, 0.0
    height = along.shape[0]
    for x in range(max(window[0], 0), min(window[1], across.shape[0])):
        for y in range(max(window[2], 0), min(window[3], height)):
            tile = x * height + y
            if first[tile] == first[tile + 1] or (x == column and y == row):
                continue
            there = price(ends, unit, x, y, sums)
            for seat in range(first[tile], first[tile + 1]):
                other = held[seat]
                both = between(ends, unit, other) + between(ends, other, unit)
                change = there - here + price(ends, other, column, row, sums) - price(ends, other, x, y, sums)
                change += 2.0 * both * (across[column, x] + along[row, y])
                if change < least:
                    partner, least = other, change
    return partner


@compiled
def exchange(ends: Any, unit: int, other: int, at: Any, seats: Any, sums: Any, across: Any, along: Any) -> None:
    columns, rows = at
    held, seat_of = seats
    for sign in (-1.0, 1.0):
        for moved in (unit, other):
            move_ends(ends, moved, columns[moved], rows[moved], sign, across, along, sums)
        if sign < 0:
            columns[unit], columns[other] = columns[other], columns[unit]
            rows[unit], rows[other] = rows[other], rows[unit]
    held[seat_of[unit]], held[seat_of[other]] = other, unit
    seat_of[unit], seat_of[other] = seat_of[other], seat_of[unit]


@entry
def exchanged(ends: Any, at: Any, seats: Any, sums: Any, distances: Any, search: Any) -> int:
    """Exchange units in turn, each with the best one near where it is cheapest, half-way there, and beside it.

    Args:
        ends: what each unit sends to and hears from: first index of each unit, flow and messages; the same of what
            reaches it, without messages.
        at: column and row of each unit; changed.
        seats: first seat of each tile (column times rows plus row), unit on each seat (changed), seat of each unit
            (changed).
        sums: room for link sums ``[flows, columns]`` twice and ``[flows, rows]`` twice; those of the input are in them.
        distances: links between columns, and between rows.
        search: passes over all units at most, and how far from a tile partners are looked for.

    Returns: how many exchanges there were.
    """
    across, along = distances
    columns, rows = at
    first, held, seat_of = seats
    passes, reach = search
    count_ends(ends, columns, rows, across, along, sums)
    exchanges = 0
    for _ in range(passes):
        before = exchanges
        for unit in range(len(columns)):
            x, y = cheapest(ends, unit, sums, (across.shape[0], along.shape[0]))
            for near in range(3):
                middle_x = x + (columns[unit] - x) * near // 2
                middle_y = y + (rows[unit] - y) * near // 2
                window = (middle_x - reach, middle_x + reach + 1, middle_y - reach, middle_y + reach + 1)
                other = best_partner(ends, unit, at, (first, held), window, sums, across, along)
                if other >= 0:
                    exchange(ends, unit, other, at, (held, seat_of), sums, across, along)
                    exchanges += 1
                    break
        if exchanges == before:
            break
    return exchanges
