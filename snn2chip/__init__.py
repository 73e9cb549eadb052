"""snn2chip: from a trained multi-level spiking network to proven chip forms and an honest energy report."""

from __future__ import annotations

__version__ = "0.1.0"
