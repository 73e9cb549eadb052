"""``snn2chip chips``: list the chips that come with snn2chip, or show one with every source."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands import chips_fit
from snn2chip.commands.base import command


def add(commands: Any) -> None:
    details = """\
Without arguments: the chips that come with snn2chip. 'chips show NAME' prints one, number by number, and 'chips fit'
fits prices to measured joules."""
    parser = command(commands, "chips", "list the chips that come with snn2chip, or show one", _list, details)
    actions = parser.add_subparsers(metavar="show|fit")
    show = command(actions, "show", "print a chip with the kind and source of every number", _show)
    show.add_argument("chip", metavar="NAME|FILE.toml", help="a chip that comes with snn2chip, or a chip file")
    chips_fit.add(actions)


def _list(options: argparse.Namespace) -> int:
    from snn2chip import terminal

    print(terminal.chip_table())
    return 0


def _show(options: argparse.Namespace) -> int:
    from snn2chip import terminal
    from snn2chip.hw_models.chip import load_chip

    print(terminal.chip_text(load_chip(options.chip)))
    return 0
