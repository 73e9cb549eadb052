"""Files and live modules to float graphs: the only place that reads untrusted model files."""

from __future__ import annotations

from snn2chip.frontend.capture import capture
from snn2chip.frontend.options import ImportOptions
from snn2chip.frontend.readers import Checkpoint, Loaded, load, read

__all__ = ["Checkpoint", "ImportOptions", "Loaded", "capture", "load", "read"]
