"""``snn2chip simulate``: count, place and price an artifact."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import check_reports, command
from snn2chip.errors import UserError


def add(commands: Any) -> None:
    details = """\
Counts what flows on real inputs, places the network on the chip's cores, prices it with the chip file's figures
and compares it with baselines, each from its own trained checkpoint. Without DIR, the newest artifact under
build/ is taken. Without --baseline, networks of the digits recipes get a shipped fair set: the binary SNN at T=N and
at T=1, SEW with the same neuron, and the quantized ANN on a dense accelerator; those of event-digits the binary SNN at
T=10. Networks of your own stand beside artifacts that you name."""
    parser = command(commands, "simulate", "count, place and price an artifact", _execute, details)
    parser.add_argument("artifact", nargs="?", metavar="DIR", help="an artifact folder (default: the newest)")
    parser.add_argument("--chip", metavar="NAME|FILE.toml", help="a chip (default: the artifact's target)")
    parser.add_argument("--energy-report", action="store_true", help="print the report (also the default)")
    parser.add_argument("--input", metavar="X.npz", help="inputs x and classes y instead of the artifact's samples")
    parser.add_argument(
        "--baseline",
        action="append",
        metavar="LABEL=DIR",
        help="another artifact, or a shipped network by name (binary, binary-t1, sew, qann, ms, spiking, "
        "barrier-surrogate); may be repeated; 'none' for none",
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON ('-': to standard output alone)")
    parser.add_argument("--html", metavar="FILE", help="write the report as one self-contained page")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, files, simulation, terminal
    from snn2chip.report.terminal import text

    if options.json == options.html == "-":
        raise UserError("--json - and --html - both want standard output: give one of them a file")
    folder = options.artifact or api.newest_artifact()
    others = (given.partition("=")[2] for given in options.baseline or ())
    check_reports((options.json, options.html), [folder, *filter(None, others)])
    with terminal.progress() as say:
        report = simulation.simulate(folder, options.chip, options.input, options.baseline, say)
    if options.json:
        files.write_or_print(options.json, report.to_json())
    if options.html:
        from snn2chip.report.html import page  # matplotlib takes a second to import

        files.write_or_print(options.html, page(report))
    if "-" not in (options.json, options.html):
        print(f"{folder}\n\n{text(report)}", end="")
    return 0
