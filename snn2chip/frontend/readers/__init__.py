"""Model files: `load` reads any of the formats of ``docs/importing.md``. Each reader takes its file for hostile."""

from __future__ import annotations

from snn2chip.frontend.readers.checkpoint import Checkpoint, read
from snn2chip.frontend.readers.load import load
from snn2chip.frontend.readers.loaded import Loaded

__all__ = ["Checkpoint", "Loaded", "load", "read"]
