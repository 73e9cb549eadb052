"""``snn2chip verify``: check an artifact and certify it again, or compare it with another one."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import check_reports, command


def add(commands: Any) -> None:
    details = """\
Checks every file's digest, runs every form again and compares all integers with the interpreter. The artifact may have
been made elsewhere: where its own certificate says otherwise, the differences are named. With --against, the networks
of two artifacts are compared instead: the first node or parameter that differs, and whether their outputs do, on the
samples and on inputs that are searched for a difference."""
    parser = command(commands, "verify", "check an artifact and certify it again", _execute, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument("--against", metavar="OTHER", help="another artifact, to compare the two networks")
    parser.add_argument("--differing", metavar="X.npy", help="with --against: write inputs whose logits differ there")
    parser.add_argument("--json", metavar="FILE", help="write the certificate there ('-': to standard output alone)")
    parser.add_argument("--html", metavar="FILE", help="write the certificate as one self-contained page")
    parser.add_argument("--environment", metavar="FILE", help="write the versions and the machine there, as JSON")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import files
    from snn2chip.errors import UserError

    if options.against and (options.html or options.environment):
        raise UserError("--against writes no page and no environment: leave out --html and --environment")
    if options.differing and not options.against:
        raise UserError("--differing has no effect without --against OTHER: add it, or leave that out")
    streams = [f"--{name} -" for name in ("json", "html", "environment") if getattr(options, name) == "-"]
    if len(streams) > 1:
        raise UserError(f"{' and '.join(streams)} both want standard output: give one of them a file")
    outputs = {f"--{name}": getattr(options, name) for name in ("json", "html", "environment", "differing")}
    files.check_distinct(outputs, {})
    artifacts = [folder for folder in (options.artifact, options.against) if folder]
    check_reports(outputs.values(), artifacts)
    return _compare(options) if options.against else _verify(options)


def _verify(options: argparse.Namespace) -> int:
    from snn2chip import certify, files, terminal
    from snn2chip.certify.environment import environment, sentence

    with terminal.progress() as report:
        verification = certify.verify(options.artifact, report)
        made_with = environment()
    if options.json:
        files.write_or_print(options.json, files.canonical_json(verification.certificate.to_json()))
    if options.html:
        from snn2chip.report.certificate_page import page

        files.write_or_print(options.html, page(verification))
    if options.environment:
        files.write_or_print(options.environment, files.canonical_json(made_with))
    if "-" not in (options.json, options.html, options.environment):
        print(terminal.verification(verification))
        print(f"run with {sentence(made_with)}")
    return 0 if verification.certificate.verdict == "EXACT" else 1


def _compare(options: argparse.Namespace) -> int:
    from snn2chip import api, files, terminal

    with terminal.progress() as report:
        found = api.against(options.artifact, options.against, report)
    if options.differing and found.differing is not None and len(found.differing):
        files.write_array(options.differing, found.differing)
    if options.json:
        files.write_or_print(options.json, files.canonical_json(found.to_json()))
    if options.json != "-":
        print(terminal.difference(found))
    return 0 if found.same else 1
