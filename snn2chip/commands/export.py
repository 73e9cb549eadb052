"""``snn2chip export``: compile a model into a certified artifact."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import check_inputs, command
from snn2chip.commands.importing import add_import_options, import_options


def add(commands: Any) -> None:
    details = """\
Quantizes the model to integers (unless it is quantized already), writes every form that can express it (NIR, ONNX,
Lava), runs each of them on real samples and extreme inputs, and writes a certificate that says EXACT or names the
first difference."""
    parser = command(commands, "export", "compile a model into a certified artifact", _execute, details)
    parser.add_argument(
        "model", metavar="MODEL", help="a model file: .pt, .pth, .pt2, .safetensors, .nir, .net, or .onnx of ours"
    )
    parser.add_argument("--target", default="loihi2", metavar="CHIP", help="a neurocore chip (default loihi2)")
    parser.add_argument("--out", metavar="DIR", help="the artifact folder (default build/<model>-<target>)")
    parser.add_argument("--bits", type=int, metavar="B", help="weight bits, 2..8 (default 8)")
    parser.add_argument(
        "--calibration",
        metavar="X.npz",
        help="real inputs x (and classes y) that travel with the artifact as its samples",
    )
    parser.add_argument(
        "--also",
        metavar="FORM[,FORM]",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=(),
        help="forms to write besides nir, onnx and lava (an unknown name lists them all)",
    )
    add_import_options(parser)


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, terminal

    check_inputs([options.model, options.calibration])
    api.check_choices(options.target, options.also)
    given = import_options(options)
    with terminal.progress() as report:
        exported = api.export(
            options.model, options.target, options.out, options.calibration, options.bits, given, options.also, report
        )
    print(terminal.export_summary(exported))
    return 1 if exported.certificate.verdict == "DIFFERENT" else 0
