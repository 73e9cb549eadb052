"""``snn2chip doctor``: check that every backend works, or build what is missing."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    details = """\
--fix lava builds Lava's own environment (Python 3.10 where one is found, else this Python with two small patches);
nothing of it enters the environment that you run this command from. --fix lava-dl also takes lava-dl's network loader
out of its wheel, for `export --also netx`."""
    parser = command(commands, "doctor", "check that every backend works, or build what is missing", _execute, details)
    parser.add_argument("--fix", choices=("lava", "lava-dl"), help="build what is missing")
    parser.add_argument("--python", choices=("auto", "python310", "current"), default="auto", help="for --fix lava")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import doctor

    if options.fix:
        doctor.fix_lava(options.python, print)
    if options.fix == "lava-dl":
        doctor.fix_lava_dl(print)
    healthy, lines = doctor.examine()
    print("\n".join(lines))
    return 0 if healthy else 1
