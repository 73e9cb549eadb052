"""What every command shares."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
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


def check_inputs(paths: Iterable[str | Path | None]) -> None:
    """Before what takes seconds to import: UserError where a file that is to be read is not there or is no file."""
    from snn2chip import files

    for path in paths:
        if path is not None:
            files.check_regular(Path(path), sys.maxsize)


def check_reports(paths: Iterable[str | None], artifacts: Iterable[str | Path]) -> None:
    """Before long work: UserError where a report cannot be written, or would change an artifact that is only read."""
    from snn2chip import files
    from snn2chip.errors import UserError

    read = {folder: os.path.realpath(folder) for folder in artifacts}
    for path in paths:
        files.check_writable(path)
        if path is None or path == "-":
            continue
        written = Path(os.path.realpath(path))  # a link is followed, as by what writes the report
        if inside := [folder for folder, real in read.items() if written.is_relative_to(real)]:
            raise UserError(f"{path}: it lies inside {inside[0]}, an artifact that is only read: name a file elsewhere")
        if not Path(path).absolute().parent.is_dir():
            raise UserError(f"{path}: there is no folder {Path(path).parent}: make it first, or name another file")
