"""``snn2chip consumers``: what other libraries make of an artifact's NIR files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import check_reports, command

if TYPE_CHECKING:
    from snn2chip.artifact import Artifact
    from snn2chip.interop.consumers import Job, Outcome

#: Outcomes by `Consumer.key`, and then by file.
_Found = Mapping[str, Mapping[str, "Outcome"]]


def add(commands: Any) -> None:
    details = """\
Opens every NIR file of the artifact in NIRTorch, norse, sinabs, snnTorch and SpikingJelly, as they come and with the
node maps of snn2chip.interop, runs samples through it, and compares every logit with the interpreter's: exact, refused
(an error), or WRONG (other numbers, and no error).
Exit code 1 where a node map of this project is not exact."""
    parser = command(commands, "consumers", "what other libraries make of an artifact's NIR files", _execute, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument("--python", metavar="PATH", help="a Python that has the libraries (default: this one)")
    parser.add_argument("--input", metavar="X.npz", help="inputs to run (default: the artifact's own samples)")
    parser.add_argument("--samples", type=int, default=16, metavar="N", help="how many of them (default: 16)")
    parser.add_argument("--json", metavar="FILE", help="write the results there ('-': to standard output alone)")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import artifact, files, terminal
    from snn2chip.interop import consumers

    check_reports([options.json], [options.artifact])
    read = artifact.read(options.artifact)
    python = Path(options.python) if options.python else None
    jobs = _jobs(read, options.input, options.samples)
    with terminal.progress() as report:
        found = consumers.measure(jobs, python=python, report=report)
    versions = consumers.installed(python)
    if options.json:
        rows = {key: {name: outcome.to_json() for name, outcome in row.items()} for key, row in found.items()}
        samples = len(next(iter(jobs.values())).frames)
        document = {"graph_digest": read.graph.digest, "samples": samples, "versions": versions, "consumers": rows}
        files.write_or_print(options.json, files.canonical_json(document))
    if options.json != "-":
        print(_table(found, versions))
    return 1 if _broken(found) else 0


def _jobs(read: Artifact, source: str | None, count: int) -> dict[str, Job]:
    """Every NIR file of the artifact, by its name and profile."""
    from snn2chip import artifact
    from snn2chip.errors import UserError
    from snn2chip.interop import consumers

    written = sorted(name for name in read.manifest["files"] if name.endswith(".nir"))
    if not written:
        entry = read.manifest["forms"].get("nir")
        reason = entry.get("reason") if isinstance(entry, dict) else None
        raise UserError(f"{read.folder}: it has no NIR file: {reason or 'it was written without one: export again'}")
    samples = artifact.read_samples(source) if source else read.samples
    if samples is None or not len(samples):
        raise UserError(f"{read.folder}: it has no samples to run: give some with --input X.npz")
    if count < 1:
        raise UserError(f"--samples {count}: give 1 or more")
    jobs = [consumers.job(read.folder / name, read.graph, samples.x[:count]) for name in written]
    return {f"{job.path.name} ({job.profile})": job for job in jobs}


def _table(found: _Found, versions: Mapping[str, str]) -> str:
    """One line for each consumer, and what stands behind the verdicts below."""
    from snn2chip import terminal
    from snn2chip.interop.consumers import CONSUMERS

    notes: list[str] = []
    names = list(next(iter(found.values())))
    rows = []
    for consumer in CONSUMERS:
        cells = [_cell(found[consumer.key][name], notes) for name in names]
        rows.append([consumer.name, versions.get(consumer.package, ""), *cells])
    remarks = [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([terminal.table(["consumer", "version", *names], rows), *remarks])


def _cell(outcome: Outcome, notes: list[str]) -> str:
    if not outcome.detail:
        return outcome.verdict
    if outcome.detail not in notes:
        notes.append(outcome.detail)
    return f"{outcome.verdict} [{notes.index(outcome.detail) + 1}]"


def _broken(found: _Found) -> bool:
    from snn2chip.interop.consumers import CONSUMERS, EXACT, MISSING

    return any(
        outcome.verdict not in (EXACT, MISSING)
        for consumer in CONSUMERS
        if consumer.way == "map"
        for outcome in found[consumer.key].values()
    )
