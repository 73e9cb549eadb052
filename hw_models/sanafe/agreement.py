"""Both sides of the comparison with SANA-FE: the files that it reads, and the totals that it should print."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import interpreter
from snn2chip.graph import Array, Graph
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.hw_models.sanafe.describe import Description, describe
from snn2chip.hw_models.sanafe.mapping import mapping_of
from snn2chip.hw_models.sanafe.simple import Simple, axons_of, loads_of, simple
from snn2chip.hw_models.sanafe.trace import Recorder
from snn2chip.lowering import to_populations


@dataclass(frozen=True)
class Expected:
    """One sample.

    Attributes:
        description: what SANA-FE has to be given.
        totals: what it should find.
        logits: int32 ``[classes]``: the potentials that its readout should end with.
    """

    description: Description
    totals: Simple
    logits: Array


def expected(graph: Graph, inputs: Array, chip: Chip) -> list[Expected]:
    """Every sample of uint8 ``[B, *shape]`` or ``[B, T, *shape]``, each alone on the chip.

    A multi-level network is described by its unary lowering.
    Raises: UserError (GraphError) where SANA-FE has no place for the network or for the chip's prices.
    """
    interpreter.as_frames(graph, inputs)  # refuses what does not fit before anything is lowered
    lowering = lowered_for(graph, chip)
    running, fed = (lowering.graph, lowering.encode(inputs)) if lowering else (graph, inputs)
    network = to_populations(running)
    cores = mapping_of(place(network, chip))
    recorder = Recorder(network, len(fed))
    cells = recorder.cells
    logits = interpreter.run(network.graph, fed, [recorder]).sum(axis=1)
    axons = axons_of(network.populations, cores)

    frames = interpreter.as_frames(network.graph, fed)
    texts = describe(network, cores, cells, chip, frames)

    def totals(sample: int) -> Simple:
        loads = loads_of(network.populations, cores, axons, recorder.tracks(sample, cores))
        return simple(loads, int(np.count_nonzero(frames[sample])), cores.tiles, chip)

    return [Expected(text, totals(sample), logits[sample]) for sample, text in enumerate(texts)]
