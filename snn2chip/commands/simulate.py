"""``snn2chip simulate``: count, place and price an artifact."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import check_inputs, check_reports, command
from snn2chip.errors import UserError, naming

if TYPE_CHECKING:
    from snn2chip.report import EnergyReport


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
        "barrier-surrogate; qann-dense or qann-zero-skipping for one array), or the network itself on an array "
        "(own-dense, own-zero-skipping); may be repeated; 'none' for none",
    )
    parser.add_argument(
        "--timing",
        choices=("summary", "detailed"),
        default="summary",
        help="detailed follows every message through links, buffers and cores (default: summary)",
    )
    parser.add_argument(
        "--placement",
        choices=("default", "optimised", "fastest"),
        default="default",
        help="optimised moves cores on the mesh so that messages travel less; fastest takes the better of both by "
        "detailed timing (default: row by row)",
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        metavar="CONDITION",
        help="exit with 1 where it holds for the network, such as 'energy > 5 uJ' (energy, dynamic, latency, edp, "
        "events, accuracy); may be repeated",
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON ('-': to standard output alone)")
    parser.add_argument("--html", metavar="FILE", help="write the report as one self-contained page")
    parser.add_argument("--csv", metavar="FILE", help="write a row of plain numbers per network ('-': alone, as above)")
    parser.add_argument(
        "--latex", metavar="FILE.tex", help="write tables and a methods paragraph, and FILE.bib with what they cite"
    )


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, terminal
    from snn2chip.report.limits import parse

    limits = [parse(condition) for condition in options.fail_if or ()]
    folder = options.artifact or api.newest_artifact()
    _check(options, folder)
    with terminal.progress() as say:
        from snn2chip import simulation  # torch takes seconds to import

        report = simulation.simulate(
            folder, options.chip, options.input, options.baseline, say, options.timing, options.placement
        )
    _write(options, folder, report)
    broken = [sentence for limit in limits if (sentence := limit.broken(report.own))]
    for sentence in broken:
        print(f"snn2chip: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _outputs(options: argparse.Namespace) -> dict[str, str | None]:
    """The files that are asked for, by option; BibTeX lies beside the LaTeX that cites it."""
    named = {f"--{name}": getattr(options, name) for name in ("json", "html", "csv", "latex")}
    return {**named, "BibTeX of --latex": _bibliography(options.latex)}


def _bibliography(latex: str | None) -> str | None:
    return None if latex is None else str(Path(latex).with_suffix(".bib"))


def _check(options: argparse.Namespace, folder: str | Path) -> None:
    """Before what takes long: UserError where an input or the chip is not there, or an output cannot be written."""
    from snn2chip import artifact, files
    from snn2chip.hw_models.chip import load_chip

    outputs = _outputs(options)
    if options.latex == "-":
        raise UserError("--latex - has no place for the BibTeX file beside it: give it a file")
    if options.latex is not None and Path(options.latex).suffix != ".tex":
        raise UserError(f"--latex {options.latex}: a LaTeX file is called something.tex")
    streams = [f"{name} -" for name, path in outputs.items() if path == "-"]
    if len(streams) > 1:
        raise UserError(f"{' and '.join(streams)} both want standard output: give one of them a file")
    files.check_distinct(outputs, {"--input": options.input})
    check_inputs([options.input])
    others = list(filter(None, (given.partition("=")[2] for given in options.baseline or ())))
    for each in (folder, *others):
        if not (Path(each) / artifact.MANIFEST).is_file():
            with naming(f"baseline {_label(options.baseline, each)!r}") if each in others else nullcontext():
                artifact.read(each)
    check_reports(outputs.values(), [folder, *others])
    if options.chip:
        load_chip(options.chip)


def _label(baselines: list[str], folder: str) -> str:
    return next(given.partition("=")[0] for given in baselines if given.partition("=")[2] == folder)


def _write(options: argparse.Namespace, folder: str | Path, report: EnergyReport) -> None:
    from snn2chip import files
    from snn2chip.report import paper
    from snn2chip.report.terminal import text

    if options.json:
        files.write_or_print(options.json, report.to_json())
    if options.html:
        from snn2chip.report.html import page  # matplotlib takes a second to import

        files.write_or_print(options.html, page(report))
    if options.csv:
        files.write_or_print(options.csv, paper.csv_text(report))
    if bibliography := _bibliography(options.latex):
        files.write_or_print(options.latex, paper.latex_text(report, Path(bibliography).name))
        files.write_or_print(bibliography, paper.bibtex_text(report))
    if "-" not in (options.json, options.html, options.csv):
        print(f"{folder}\n\n{text(report)}", end="")
