"""What every command shares."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

#: Parsed options to an exit code.
Execute = Callable[[argparse.Namespace], int]


def command(commands: Any, name: str, summary: str, execute: Execute, details: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{details}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(execute=execute)
    return parser
