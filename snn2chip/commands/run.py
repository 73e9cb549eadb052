"""``snn2chip run``: run inputs through an artifact."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snn2chip.commands.base import check_inputs, check_reports, command
from snn2chip.errors import UserError


def add(commands: Any) -> None:
    details = """\
Inputs are uint8 [B, C, H, W] (shown at every step) or [B, T, C, H, W] (event counts), as .npy or as .npz with x.
The output is int32 [B, classes], logits summed over the T steps."""
    parser = command(commands, "run", "run inputs through an artifact", _execute, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument(
        "--backend",
        choices=("reference", "torch", "onnxruntime", "lava"),
        default="reference",
        help="reference: the interpreter (the default); torch: the fast engine; or an exported form in its program",
    )
    parser.add_argument("--input", required=True, metavar="X.npy", help="inputs to run")
    parser.add_argument("--output", required=True, metavar="Y.npy", help="where the logits go")
    parser.add_argument("--per-step", action="store_true", help="keep [B, T, classes] instead of the sum over T")
    parser.add_argument(
        "--timing",
        choices=("algorithmic", "pipelined"),
        default="algorithmic",
        help="algorithmic: every layer in the same step (the default); pipelined: each one step behind its sources, "
        "with skips delayed to match, as on a chip (the same logits; not with onnxruntime)",
    )


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import api, files

    output = Path(options.output)
    if output.suffix != ".npy" and (output.is_file() or not output.exists()):  # a pipe or a device has no suffix
        raise UserError(f"--output {options.output}: logits are written with numpy.save: call it something.npy")
    check_reports([options.output], [options.artifact])
    files.check_distinct({"--output": options.output}, {"--input": options.input})
    check_inputs([options.input])
    per_step = api.run(options.artifact, options.input, options.backend, options.timing)
    logits = per_step if options.per_step else per_step.sum(axis=1, dtype=per_step.dtype)
    files.write_array(options.output, logits)
    what = "[inputs, steps, classes]" if options.per_step else "[inputs, classes], summed over the steps"
    print(f"{options.output}: logits, {logits.dtype} {list(logits.shape)} {what}")
    return 0
