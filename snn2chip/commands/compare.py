"""``snn2chip compare``: two JSON reports of simulate side by side."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    parser = command(commands, "compare", "compare two JSON reports of simulate", _execute)
    parser.add_argument("first", metavar="A.json")
    parser.add_argument("second", metavar="B.json")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import report

    print(report.compare(report.read(options.first), report.read(options.second)))
    return 0
