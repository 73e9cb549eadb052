"""What a simulation found, for machines and for people.

`EnergyReport` holds the networks and becomes JSON; `snn2chip.report.terminal.text` renders it as text,
`snn2chip.report.html.page` as one self-contained page. `read` reads the JSON back, and `compare` says what changed
between two reports. How to read any of it stands in ``docs/reading-a-report.md``.
"""

from __future__ import annotations

from snn2chip.report.differences import compare
from snn2chip.report.energy_report import SCHEMA, EnergyReport, read

__all__ = ["SCHEMA", "EnergyReport", "compare", "read"]
