"""``snn2chip verify``: check an artifact and certify it again."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    details = "Checks every file's digest, runs every form again and compares all integers with the interpreter."
    parser = command(commands, "verify", "check an artifact and certify it again", _execute, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument("--json", metavar="FILE", help="write the certificate there ('-': to standard output alone)")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, files, terminal

    with terminal.progress() as report:
        certificate = api.verify(options.artifact, report)
    if options.json:
        files.write_or_print(options.json, files.canonical_json(certificate.to_json()))
    if options.json != "-":
        print(terminal.certificate_table(certificate))
    return 0 if certificate.verdict == "EXACT" else 1
