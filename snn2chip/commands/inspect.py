"""``snn2chip inspect``: show what is in a checkpoint or an artifact."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    parser = command(commands, "inspect", "show what is in a checkpoint or an artifact", _execute)
    parser.add_argument("path", metavar="FILE|DIR")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api

    print(api.inspect(options.path))
    return 0
