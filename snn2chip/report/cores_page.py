"""How full the cores of a placement are, as one self-contained page."""

from __future__ import annotations

from snn2chip.report.core_drawing import content
from snn2chip.report.core_map import CoreMap
from snn2chip.report.environment import templates


def page(cores: CoreMap, title: str) -> str:
    """The whole page as text. The same placement gives the same text."""
    return templates().get_template("cores.html.j2").render(title=title, cores=cores, map=content(cores))
