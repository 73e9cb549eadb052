"""Whether a network fits on one chip, how it is spread over the cores, and the smallest change where it does not."""

from __future__ import annotations

import math
from typing import Any

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Region
from snn2chip.hw_models.arrangement import arranged, check_arrangement
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.cutting import Broken
from snn2chip.hw_models.needs import Needs
from snn2chip.hw_models.placement import Placement, lowered_for, place
from snn2chip.lowering import Projection, to_populations

#: Limits in words, as a sentence names them.
UNITS = {
    "neurons_per_core": "neurons",
    "axons_in_per_core": "entries of the axon table in",
    "axons_out_per_core": "entries of the axon table out",
    "synapse_bits_per_core": "bits of synaptic memory",
    "state_bits_per_core": "bits of state",
    "delay_bits_per_core": "bits of delay buffers",
    "memory_bits_per_core": "bits of memory",
}


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
    changes = [(found, smallest_change(placement, found)) for found in placement.exceeded]
    for entry, (_, change) in zip(document["broken"], changes, strict=True):
        entry["change"] = change
    return {**document, "reason": "; ".join(_sentence(found, change) for found, change in changes)}


def _sentence(found: Broken, change: str) -> str:
    if found.limit == "cores":
        first = f"which layer {found.layer!r} is the first to exceed"
        return f"the network takes {found.need} cores and one chip has {found.have}, {first}: {change}"
    need = f"one row of one channel needs {found.need} {UNITS[found.limit]} and a core has {found.have}"
    return f"layer {found.layer!r} is too big for any core: {need}: {change}"


def smallest_change(placement: Placement, found: Broken) -> str:
    """What would make the network keep the limit, as part of a sentence."""
    if found.limit == "cores":
        return _more_cores(placement)
    needs = Needs(placement.network, placement.network[found.layer], placement.chip, placement.regions)
    changes = {
        "neurons_per_core": _narrower_map,
        "state_bits_per_core": _narrower_map,
        "axons_in_per_core": _fewer_sources,
        "axons_out_per_core": _fewer_readers,
        "synapse_bits_per_core": _fewer_weight_bits,
        "delay_bits_per_core": _shorter_skip,
        "memory_bits_per_core": _fewer_weight_bits,
    }
    return changes[found.limit](needs, found) or f"choose a chip with at least {found.need} {UNITS[found.limit]} a core"


def _more_cores(placement: Placement) -> str:
    """Several chips, or weights of so few bits that one chip is enough."""
    several = f"use {placement.chips} chips"
    stored = max(each.weight_bits for layer in placement.network.populations for each in layer.projections)
    # Weights of 2 bits save at most this factor, for what fits then fits today once cut into as many parts.
    hopeless = placement.cores > placement.cores_per_chip * math.ceil(stored / 2)
    for bits in () if hopeless else range(stored - 1, 1, -1):
        cores = place(placement.network, placement.chip, bits).cores
        if cores <= placement.cores_per_chip:
            return f"{several}, or weights of {bits} instead of {stored} bits, which take {cores} cores"
    return f"{several}, or a network with narrower layers: fewer weight bits alone are not enough"


def _finest(needs: Needs, limit: str) -> Region:
    """The one row of one channel that needs most."""
    shape = needs.population.shape
    rows = range(shape[1] if len(shape) == 3 else 1)
    every = (Region(range(c, c + 1), range(row, row + 1)) for c in range(shape[0]) for row in rows)
    return max(every, key=lambda region: needs.of(limit, region))


def _narrower_map(needs: Needs, found: Broken) -> str | None:
    shape = needs.population.shape
    columns = found.have * shape[2] // found.need if len(shape) == 3 else 0
    return f"make its maps at most {columns} columns wide (they have {shape[2]})" if columns else None


def _fewer_weight_bits(needs: Needs, found: Broken) -> str | None:
    stored = max(projection.weight_bits for projection in needs.population.projections)
    region = _finest(needs, found.limit)
    for bits in range(stored - 1, 1, -1):
        slimmer = Needs(needs.network, needs.population, needs.chip, needs.targets, bits)
        if slimmer.of(found.limit, region) <= found.have:
            return f"weights of {bits} instead of {stored} bits would fit"
    if found.limit == "memory_bits_per_core":
        return None  # the state may be what is too large
    return _fewer_channels(needs, found, [each for each in needs.population.projections if each.is_weighted])


def _fewer_sources(needs: Needs, found: Broken) -> str | None:
    return _fewer_channels(needs, found, list(needs.population.projections))


def _fewer_channels(needs: Needs, found: Broken, projections: list[Projection]) -> str | None:
    """Both limits grow in proportion to the channels of what the layer reads."""
    if len(projections) != 1:
        return None
    source = needs.network[projections[0].source]
    keep = found.have * source.shape[0] // found.need
    what = "channels" if len(source.shape) == 3 else "neurons"
    return f"let {source.name!r}, which it reads, have at most {keep} {what} ({source.shape[0]} now)" if keep else None


def _fewer_readers(needs: Needs, found: Broken) -> str | None:
    shape = needs.population.shape
    width = shape[2] if len(shape) == 3 else 1
    keep = found.have // width
    if not keep:
        return None
    reached = -(-found.need // width)
    return f"narrow the layers that read it until they take at most {keep} cores (a neuron reaches {reached} now)"


def _shorter_skip(needs: Needs, found: Broken) -> str | None:
    longest = max(projection.delay for projection in needs.population.projections)
    keep = found.have * longest // found.need
    return f"let its skip wait at most {keep} steps instead of {longest}" if keep else None
