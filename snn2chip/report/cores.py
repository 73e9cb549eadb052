"""How full the cores of a placement are, for the terminal: what ``fit.json`` says, as bars and as a map of the mesh.

`snn2chip.report.cores_page` draws it as a page.
"""

from __future__ import annotations

from collections.abc import Iterator

from snn2chip.report.core_map import NAMES, Core, CoreMap

_EIGHTHS = " ▏▎▍▌▋▊▉"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_FREE, _OVER = "·", "!"
_CELLS = 6
_LONGEST_NAME = 28


def text(cores: CoreMap) -> str:
    """Bars of the fullest core of each layer, then every core on the mesh."""
    lines = [f"cores: {cores.sentence}"]
    if cores.reason:
        lines.append(f"does not fit: {cores.reason}")
    return "\n".join([*lines, "", *_layers(cores), "", *_meshes(cores)]) + "\n"


def _layers(cores: CoreMap) -> Iterator[str]:
    names = {name: name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in cores.layers}
    wide = max(map(len, [*names.values(), "fullest core of"]))
    heading = "".join(f"  {NAMES[limit]:<{_CELLS + 6}}" for limit in cores.have)
    yield f"  {'fullest core of':<{wide}}  cores{heading}".rstrip()
    for name, held in cores.layers.items():
        shares = (max(core.shares[limit] for core in held) for limit in cores.have)
        yield f"  {names[name]:<{wide}}  {len(held):>5}" + "".join(f"  {_bar(share)}" for share in shares)


def _bar(share: float) -> str:
    """``███▌   57 %``: a bar of `_CELLS` places; full, with the percentage, where the limit is broken."""
    eighths = min(8 * _CELLS, round(8 * _CELLS * share))
    drawn = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{drawn:<{_CELLS}} {percent_of_limit(share):>5}"


def percent_of_limit(share: float) -> str:
    """A need as whole percents of a limit: ``57 %``. Only what meets the limit is 100 %, and what breaks it is more."""
    shown = round(100 * share)
    if share < 1:
        shown = min(shown, 99)
    return f"{max(shown, 101) if share > 1 else shown} %"


def _meshes(cores: CoreMap) -> Iterator[str]:
    yield f"  fullest limit of every core, by tile: {_HEIGHTS[0]} to {_HEIGHTS[-1]} full, {_OVER} broken, {_FREE} free"
    for chip in range(cores.chips):
        if cores.chips > 1:
            yield f"  chip {chip}"
        tiles = [_tile(cores, chip, tile) for tile in range(len(cores.seats))]
        for first in range(0, len(tiles), cores.columns):
            yield "    " + " ".join(tiles[first : first + cores.columns])


def _tile(cores: CoreMap, chip: int, tile: int) -> str:
    held = cores.by_tile.get((chip, tile), ())
    return "".join(map(_height, held)).ljust(cores.seats[tile], _FREE)


def _height(core: Core) -> str:
    if core.fullest > 1:
        return _OVER
    return _HEIGHTS[min(len(_HEIGHTS) - 1, int(core.fullest * len(_HEIGHTS)))]
