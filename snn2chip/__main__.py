"""``python -m snn2chip``."""

from __future__ import annotations

import sys

from snn2chip.cli import main

sys.exit(main())
