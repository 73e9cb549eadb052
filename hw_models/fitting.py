"""Whether a network fits on one chip, how it is spread over the cores, and the smallest change where it does not."""

from __future__ import annotations

from typing import Any

from snn2chip.errors import GraphError
from snn2chip.graph import Graph
from snn2chip.hw_models.arrangement import arranged, check_arrangement
from snn2chip.hw_models.changes import UNITS, smallest_change
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.cutting import Broken
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.lowering import to_populations


def fit(graph: Graph, chip: Chip, arrangement: str = "default") -> dict[str, Any]:
    """Whether `graph` fits on one chip, and how it is spread over the cores: JSON-ready, for ``fit.json``.

    Keys: ``chip``, ``chip_digest``, ``form`` (``graded`` or ``unary``), ``fits``; then what `Placement.document` says,
    with the smallest ``change`` that would help in every entry of ``broken``. Where the network does not fit, or cannot
    be put into a form that the chip carries, ``reason`` says why. ``fits`` is None for a model without cores.

    Raises UserError where there is no such arrangement.
    """
    check_arrangement(arrangement)
    head = {"chip": chip.name, "chip_digest": chip.digest}
    if chip.model != "neurocore":
        return {**head, "form": "graded", "fits": None, "reason": f"the {chip.model} model knows no cores"}
    try:
        lowering = lowered_for(graph, chip)
        network = to_populations(lowering.graph if lowering else graph)
    except GraphError as error:
        return {**head, "form": None, "fits": False, "reason": str(error)}
    placement = arranged(place(network, chip), arrangement)
    document = {**head, "form": "unary" if lowering else "graded", **placement.document()}
    if placement.fits:
        return document
    changes = [(found, smallest_change(placement, found, graph)) for found in placement.exceeded]
    for entry, (_, change) in zip(document["broken"], changes, strict=True):
        entry["change"] = change
    return {**document, "reason": "; ".join(_sentence(found, change) for found, change in changes)}


def _sentence(found: Broken, change: str) -> str:
    if found.limit == "cores":
        first = f"which layer {found.layer!r} is the first to exceed"
        return f"the network takes {found.need} cores and one chip has {found.have}, {first}: {change}"
    need = f"one row of one channel needs {found.need} {UNITS[found.limit]} and a core has {found.have}"
    return f"layer {found.layer!r} is too big for any core: {need}: {change}"
