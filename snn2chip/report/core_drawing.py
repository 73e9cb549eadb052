"""Every chip, tile and core of a placement drawn as SVG, and the same in numbers where nothing can point at a core."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from snn2chip.hw_models.results import CoreTable
from snn2chip.report.core_map import NAMES, Core, CoreMap
from snn2chip.report.cores import percent_of_limit
from snn2chip.report.tables import Row, Sheet
from snn2chip.report.units import count, memory, quantity

#: Pixels: a core, the gap between cores, the frame of a tile, and the lines inside a core.
_WIDE, _GAP, _FRAME, _NAME, _LINE = 54.0, 3.0, 4.0, 12.0, 7.0
#: Letters of a layer's name that fit into a core.
_LETTERS = 10


@dataclass(frozen=True)
class Shade:
    """Something that each core has more or less of; `words` says how much, both in the order of the cores."""

    title: str
    values: Sequence[float]
    words: Sequence[str]

    def strength(self, core: Core) -> float:
        """0..1, where 1 is the core that has most."""
        most = max(self.values)
        return self.values[core.number] / most if most > 0 else 0.0


def shades(did: CoreTable) -> tuple[Shade, ...]:
    """How much energy each core needs, and how long it works."""
    joules = [energy.nominal for energy in did.energy]
    cycles = [sum(steps) for steps in did.cycles]
    return (
        Shade("dynamic energy of each core", joules, [quantity(value, "J") for value in joules]),
        Shade("cycles that each core works", cycles, [count(value) for value in cycles]),
    )


def content(cores: CoreMap, most: int | None = None, did: CoreTable | None = None) -> dict[str, Any]:
    """What the template ``core_map.html.j2`` shows: drawings of the first `most` chips, and tables of all cores.

    With what the cores `did`, each chip is drawn three times: by need, by energy and by work.
    """
    shown = cores.chips if most is None else min(most, cores.chips)
    kinds: list[Shade | None] = [None, *(shades(did) if did else ())]
    return {
        "drawings": [(_title(chip, kind, did), _svg(cores, chip, kind)) for chip in range(shown) for kind in kinds],
        "shaded": did is not None,
        "undrawn": cores.chips - shown,
        "limits": [NAMES[limit] for limit in cores.have],
        "sheets": [fullest(cores)],
        "every_core": every_core(cores),
    }


def _title(chip: int, kind: Shade | None, did: CoreTable | None) -> str:
    if kind is not None:
        return f"Chip {chip}: {kind.title}"
    return f"Chip {chip}" if did is None else f"Chip {chip}: what each core needs of what it has"


def fullest(cores: CoreMap) -> Sheet:
    """The fullest core of every layer."""
    rows = tuple(
        (name, str(len(held)), *(percent_of_limit(max(core.shares[limit] for core in held)) for limit in cores.have))
        for name, held in cores.layers.items()
    )
    headings = ("cores", *(f"{NAMES[limit]} (of {_size(limit, have)})" for limit, have in cores.have.items()))
    return Sheet("The fullest core of every layer", ("layer",), headings, rows)


def every_core(cores: CoreMap) -> Sheet:
    """Where each core lies, and what it needs of what it has."""
    several = cores.chips > 1
    rows: tuple[Row, ...] = tuple(
        (
            str(core.number),
            core.layer,
            *([str(core.chip)] if several else []),
            f"{core.x},{core.y}",
            *(f"{_need(limit, core.needs[limit])} ({percent_of_limit(core.shares[limit])})" for limit in cores.have),
        )
        for core in cores.cores
    )
    names = ("core", "layer", "chip", "tile") if several else ("core", "layer", "tile")
    headings = tuple(f"{NAMES[limit]} (of {_size(limit, have)})" for limit, have in cores.have.items())
    return Sheet("Every core in numbers", names, headings, rows)


def _size(limit: str, have: int) -> str:
    """What a core has: ``192 KiB`` of a memory, a plain number of all else."""
    return memory(have) if "_bits_" in limit else str(have)


def _need(limit: str, need: int) -> str:
    return f"{need} bit" if "_bits_" in limit else str(need)


def _svg(cores: CoreMap, chip: int, shade: Shade | None) -> str:
    """One chip: tiles row by row, the cores of each in a square, free ones left empty."""
    side = math.ceil(math.sqrt(max(cores.seats)))
    high = _NAME + (_LINE * len(cores.have) + 3 if shade is None else _NAME)
    tile_wide = side * (_WIDE + _GAP) + 2 * _FRAME
    tile_high = math.ceil(max(cores.seats) / side) * (high + _GAP) + 2 * _FRAME
    columns = min(cores.columns, len(cores.seats))
    width, height = columns * tile_wide, math.ceil(len(cores.seats) / columns) * tile_high
    used = sum(core.chip == chip for core in cores.cores)
    # A page that is much too narrow for it is scrolled, so that its letters can be read.
    size = f'viewBox="0 0 {width:g} {height:g}" style="min-width: {0.8 * width:g}px; max-width: {1.5 * width:g}px"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="chip {chip}: {used} cores in use">'
    ]
    for tile, seats in enumerate(cores.seats):
        x, y = tile % columns * tile_wide, tile // columns * tile_high
        frame = f'x="{x + 1:g}" y="{y + 1:g}" width="{tile_wide - 2:g}" height="{tile_high - 2:g}"'
        parts.append(f'<rect class="tile" {frame} rx="3"/>')
        held = cores.by_tile.get((chip, tile), ())
        for seat in range(seats):
            at = x + _FRAME + seat % side * (_WIDE + _GAP), y + _FRAME + seat // side * (high + _GAP)
            parts += _core(cores, held[seat] if seat < len(held) else None, at, high, shade)
    return "\n".join([*parts, "</svg>"])


def _core(
    cores: CoreMap, core: Core | None, at: tuple[float, float], high: float, shade: Shade | None
) -> Iterator[str]:
    x, y = at
    box = f'x="{x:g}" y="{y:g}" width="{_WIDE:g}" height="{high:g}"'
    if core is None:
        yield f'<rect class="free" {box}/>'
        return
    yield f'<g><title>{escape(_words(cores, core, shade))}</title><rect class="core" {box}/>'
    if shade is not None:
        yield f'<rect class="shade" {box} fill-opacity="{0.6 * shade.strength(core):.3f}"/>'
    name = core.layer if len(core.layer) <= _LETTERS else f"…{core.layer[1 - _LETTERS :]}"
    yield f'<text x="{x + 2:g}" y="{y + 9:g}">{escape(name)}</text>'
    yield from (
        _bars(core, x, y)
        if shade is None
        else [f'<text x="{x + 2:g}" y="{y + 20:g}">{shade.words[core.number]}</text>']
    )
    yield "</g>"


def _bars(core: Core, x: float, y: float) -> Iterator[str]:
    for line, share in enumerate(core.shares.values()):
        top, length = y + _NAME + line * _LINE, min(1.0, share) * (_WIDE - 4)
        kind = "bar over" if share > 1 else "bar"
        yield f'<rect class="track" x="{x + 2:g}" y="{top:g}" width="{_WIDE - 4:g}" height="{_LINE - 2:g}"/>'
        yield f'<rect class="{kind}" x="{x + 2:g}" y="{top:g}" width="{length:.2f}" height="{_LINE - 2:g}"/>'


def _words(cores: CoreMap, core: Core, shade: Shade | None) -> str:
    where = f"core {core.number}, chip {core.chip}, tile {core.x}, {core.y}: {core.layer}\n"
    if shade is not None:
        return f"{where}{shade.title}: {shade.words[core.number]}"
    said = (
        f"{NAMES[limit]} {core.needs[limit]} of {_need(limit, have)} ({percent_of_limit(core.shares[limit])})"
        for limit, have in cores.have.items()
    )
    return where + "\n".join(said)
