"""``snn2chip export``: compile a checkpoint into a certified artifact."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    details = """\
Quantizes the checkpoint to integers, writes every form that can express it (NIR, ONNX, Lava), runs each of them
on real samples and extreme inputs, and writes a certificate that says EXACT or names the first difference."""
    parser = command(commands, "export", "compile a checkpoint into a certified artifact", _execute, details)
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, such as model.pt")
    parser.add_argument("--target", default="loihi2", metavar="CHIP", help="a neurocore chip (default loihi2)")
    parser.add_argument("--out", metavar="DIR", help="the artifact folder (default build/<model>-<target>)")
    parser.add_argument("--bits", type=int, default=8, metavar="B", help="weight bits, 2..8 (default 8)")
    parser.add_argument(
        "--calibration",
        metavar="X.npz",
        help="real inputs x (and classes y) that travel with the artifact as its samples",
    )


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, terminal

    with terminal.progress() as report:
        exported = api.export(
            options.model, options.target, options.out, options.calibration, bits=options.bits, report=report
        )
    print(terminal.export_summary(exported))
    return 1 if exported.certificate.verdict == "DIFFERENT" else 0
