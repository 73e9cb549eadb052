"""Hardware models: exact counts of what flowed through a network, placed on a described chip and priced from sources.

`simulate` runs a network and returns a `NetworkReport`; `load_chip` reads a chip file; `fit` says whether a network
fits onto a chip. What is modelled, and how, stands in ``docs/hardware-models.md``.
"""

from __future__ import annotations

from snn2chip.hw_models.chip import Chip, available_chips, load_chip
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate

__all__ = ["Chip", "NetworkReport", "available_chips", "fit", "load_chip", "simulate"]
