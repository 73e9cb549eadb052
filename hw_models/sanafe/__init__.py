"""The simulator SANA-FE: a network in its YAML, and what it will find there. ``docs/sanafe.md`` explains it."""

from __future__ import annotations

from snn2chip.hw_models.sanafe.agreement import Expected, expected
from snn2chip.hw_models.sanafe.describe import Description, Gate
from snn2chip.hw_models.sanafe.simple import Simple

__all__ = ["Description", "Expected", "Gate", "Simple", "expected"]
