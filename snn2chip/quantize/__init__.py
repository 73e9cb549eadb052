"""Float graph to integer graph: fold batch norms, choose units, round once."""

from __future__ import annotations

from snn2chip.quantize.choices import Choices, Precision
from snn2chip.quantize.fold import fold_batch_norms
from snn2chip.quantize.integer import quantize

__all__ = ["Choices", "Precision", "fold_batch_norms", "quantize"]
