"""``snn2chip chips``: list the chips that come with snn2chip."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    command(commands, "chips", "list the chips that come with snn2chip", _execute)


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import terminal

    print(terminal.chip_table())
    return 0
