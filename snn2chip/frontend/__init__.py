"""Files and live modules to float graphs: the only place that reads untrusted model files."""

from __future__ import annotations

from snn2chip.frontend.capture import capture
from snn2chip.frontend.model_file import Checkpoint, read

__all__ = ["Checkpoint", "capture", "read"]
