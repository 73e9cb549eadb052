"""``snn2chip inspect``: show what is in a model file or an artifact."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command
from snn2chip.commands.importing import add_import_options, import_options


def add(commands: Any) -> None:
    parser = command(commands, "inspect", "show what is in a model file or an artifact", _execute)
    parser.add_argument("path", metavar="FILE|DIR")
    add_import_options(parser)


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api

    print(api.inspect(options.path, import_options(options)))
    return 0
