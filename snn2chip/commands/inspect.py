"""``snn2chip inspect``: show what is in a model file or an artifact, and how full the cores are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import check_inputs, check_reports, command
from snn2chip.commands.importing import add_import_options, import_options, refuse_import_options
from snn2chip.errors import UserError

if TYPE_CHECKING:
    from snn2chip.report.core_map import CoreMap

_CORES = ("chip", "placement", "html")


def add(commands: Any) -> None:
    parser = command(commands, "inspect", "show what is in a model file or an artifact", _execute)
    parser.add_argument("path", metavar="FILE|DIR")
    group = parser.add_argument_group("cores of an artifact", "how full they are, and where on the chip they lie")
    group.add_argument("--chip", metavar="NAME|FILE.toml", help="a chip (default: the artifact's target)")
    group.add_argument(
        "--placement",
        choices=("default", "optimised"),
        help="where cores lie: row by row (the default), or so that messages cross few links if all neurons fire alike",
    )
    group.add_argument("--html", metavar="FILE", help="draw every core on one self-contained page")
    add_import_options(parser)


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api

    if Path(options.path).is_dir():  # an artifact needs neither the options of a file nor torch
        refuse_import_options(options, options.path)
        check_reports([options.html], [options.path])
        described = api.inspect(options.path)
        return _show_cores(options, described)
    if given := [name for name in _CORES if getattr(options, name) is not None]:
        raise UserError(f"--{given[0]}: {options.path} is not an artifact: export it first, and name the folder")
    check_inputs([options.path])
    print(api.inspect(options.path, import_options(options)))
    return 0


def _show_cores(options: argparse.Namespace, described: str) -> int:
    from snn2chip import files
    from snn2chip.report.cores import text

    if options.html is None and options.chip is None and options.placement is None:
        print(f"{described}\n\n{_kept(options.path)}", end="")
        return 0
    cores = _cores(options)
    if options.html:
        from snn2chip.report.cores_page import page

        files.write_or_print(options.html, page(cores, Path(options.path).name))
    if options.html != "-":
        print(f"{described}\n\n{text(cores)}", end="")
    return 0


def _kept(folder: str) -> str:
    """The cores of ``fit.json``; a line that says why where it has none."""
    from snn2chip import artifact, files
    from snn2chip.report.core_map import CoreMap
    from snn2chip.report.cores import text

    path = Path(folder) / artifact.FIT
    try:
        return text(CoreMap.read(files.read_json(path), path))
    except UserError as error:
        return f"cores: {error}\n"


def _cores(options: argparse.Namespace) -> CoreMap:
    """The cores on the chip and in the placement asked for, placed anew."""
    from snn2chip import artifact
    from snn2chip.hw_models import fitting, load_chip
    from snn2chip.report.core_map import CoreMap

    read = artifact.read(options.path)
    chip = load_chip(options.chip or read.description.target)
    return CoreMap.read(fitting.fit(read.graph, chip, options.placement or "default"), options.path)
