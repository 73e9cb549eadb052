"""How full the cores of a placement are, as one self-contained page: every chip, tile and core drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from snn2chip.report.core_map import NAMES, Core, CoreMap
from snn2chip.report.cores import percent
from snn2chip.report.environment import templates

#: Pixels: a core, the gap between cores, the frame of a tile, and the lines inside a core.
_WIDE, _GAP, _FRAME, _NAME, _LINE = 54.0, 3.0, 4.0, 12.0, 7.0
#: Letters of a layer's name that fit into a core.
_LETTERS = 10


def page(cores: CoreMap, title: str) -> str:
    """The whole page as text. The same placement gives the same text."""
    rows = [
        (name, len(held), [max(core.shares[limit] for core in held) for limit in cores.have])
        for name, held in cores.layers.items()
    ]
    return (
        templates()
        .get_template("cores.html.j2")
        .render(
            title=title,
            cores=cores,
            limits=[(NAMES[limit], have) for limit, have in cores.have.items()],
            chips=[(chip, _svg(cores, chip)) for chip in range(cores.chips)],
            rows=rows,
            percent=percent,
        )
    )


def _svg(cores: CoreMap, chip: int) -> str:
    """One chip: tiles row by row, the cores of each in a square, free ones left empty."""
    side = math.ceil(math.sqrt(max(cores.seats)))
    high = _NAME + _LINE * len(cores.have) + 3
    tile_wide = side * (_WIDE + _GAP) + 2 * _FRAME
    tile_high = math.ceil(max(cores.seats) / side) * (high + _GAP) + 2 * _FRAME
    columns = min(cores.columns, len(cores.seats))
    width, height = columns * tile_wide, math.ceil(len(cores.seats) / columns) * tile_high
    used = sum(core.chip == chip for core in cores.cores)
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
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
            parts += _core(cores, held[seat] if seat < len(held) else None, at, high)
    return "\n".join([*parts, "</svg>"])


def _core(cores: CoreMap, core: Core | None, at: tuple[float, float], high: float) -> Iterator[str]:
    x, y = at
    box = f'x="{x:g}" y="{y:g}" width="{_WIDE:g}" height="{high:g}"'
    if core is None:
        yield f'<rect class="free" {box}/>'
        return
    yield f'<g><title>{escape(_words(cores, core))}</title><rect class="core" {box}/>'
    name = core.layer if len(core.layer) <= _LETTERS else f"…{core.layer[1 - _LETTERS :]}"
    yield f'<text x="{x + 2:g}" y="{y + 9:g}">{escape(name)}</text>'
    for line, share in enumerate(core.shares.values()):
        top, length = y + _NAME + line * _LINE, min(1.0, share) * (_WIDE - 4)
        kind = "bar over" if share > 1 else "bar"
        yield f'<rect class="track" x="{x + 2:g}" y="{top:g}" width="{_WIDE - 4:g}" height="{_LINE - 2:g}"/>'
        yield f'<rect class="{kind}" x="{x + 2:g}" y="{top:g}" width="{length:.2f}" height="{_LINE - 2:g}"/>'
    yield "</g>"


def _words(cores: CoreMap, core: Core) -> str:
    said = (
        f"{NAMES[limit]} {core.needs[limit]} of {have} ({percent(core.shares[limit])})"
        for limit, have in cores.have.items()
    )
    return f"core {core.number}, chip {core.chip}, tile {core.x}, {core.y}: {core.layer}\n" + "\n".join(said)
