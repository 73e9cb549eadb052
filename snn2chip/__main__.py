"""``python -m snn2chip``."""

from __future__ import annotations

from snn2chip.cli import entry

entry()
