"""The command line: parsing, printing and exit codes. Everything else is in `snn2chip.api`.

Exit codes: 0 done, 1 a check did not hold, 2 bad usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import snn2chip
from snn2chip.errors import Snn2chipError, UserError

Command = Callable[[argparse.Namespace], int]

_INTERRUPTED = 130

_OVERVIEW = """\
From a trained multi-level (graded-spike) spiking network to proven chip forms and an honest energy report.

  snn2chip train --recipe digits --out model.pt        train on real data that needs no download
  snn2chip export model.pt --target loihi2             write build/model-loihi2/ with NIR, ONNX and Lava, and certify it
  snn2chip verify build/model-loihi2                   run every form again and compare it, integer by integer
  snn2chip simulate --energy-report                    count, place and price the newest artifact beside its baselines
"""

_ENDNOTE = """\
'--target loihi2' yields Loihi 2 semantics on a CPU, not a chip binary: no public neurocore program exists for the
multi-level neuron. Energies are published or assumed prices times exact counts, never measured silicon.
Exit codes: 0 done, 1 a check did not hold, 2 bad usage or bad input, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        command: Command = options.command
        code = command(options)
        sys.stdout.flush()
    except Snn2chipError as error:
        if options.debug:
            raise
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted; files that were there before are as they were", _INTERRUPTED)
    except MemoryError:
        return _say("out of memory: use fewer inputs, or a smaller network", UserError.exit_code)
    except OSError as error:  # files have sentences of their own: what can be left is our standard output
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go
        if error.errno == errno.EPIPE:  # the reader of our output went away, as 'head' does
            return 0
        return _say("standard output cannot be written: the disk is full", UserError.exit_code)
    return code


def entry() -> None:
    """The program: run one command and end with its exit code."""
    code = main()
    # What was asked for is done: Ctrl-C while Python takes itself down would only end in a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _say(sentence: str, code: int) -> int:
    print(f"snn2chip: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snn2chip", description=_OVERVIEW, epilog=_ENDNOTE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"snn2chip {snn2chip.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_train, _export, _run, _verify, _simulate, _compare, _inspect, _chips, _doctor):
        add(commands)
    return parser


def _command(commands: Any, name: str, summary: str, command: Command, details: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{details}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=command)
    return parser


def _train(commands: Any) -> None:
    details = """\
Recipes: digits (Sparse, N=4, T=1), digits-binary-t4, digits-binary-t1, digits-sew, digits-qann. The data are
scikit-learn's handwritten digits; the best epoch is chosen on a part of the training split. A killed training
goes on where it stopped when the same command is given again; MODEL.log.jsonl holds one line an epoch."""
    parser = _command(commands, "train", "train a network of a recipe", _do_train, details)
    parser.add_argument("--recipe", required=True, metavar="NAME", help="which network on which data")
    parser.add_argument("--out", required=True, metavar="MODEL", help="the checkpoint to write, such as model.pt")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and augmentation (default 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's number")


def _export(commands: Any) -> None:
    details = """\
Quantizes the checkpoint to integers, writes every form that can express it (NIR, ONNX, Lava), runs each of them
on real samples and extreme inputs, and writes a certificate that says EXACT or names the first difference."""
    parser = _command(commands, "export", "compile a checkpoint into a certified artifact", _do_export, details)
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, such as model.pt")
    parser.add_argument("--target", default="loihi2", metavar="CHIP", help="a neurocore chip (default loihi2)")
    parser.add_argument("--out", metavar="DIR", help="the artifact folder (default build/<model>-<target>)")
    parser.add_argument("--bits", type=int, default=8, metavar="B", help="weight bits, 2..8 (default 8)")
    parser.add_argument(
        "--calibration",
        metavar="X.npz",
        help="real inputs x (and classes y) that travel with the artifact as its samples",
    )


def _run(commands: Any) -> None:
    details = """\
Inputs are uint8 [B, C, H, W] (shown at every step) or [B, T, C, H, W] (event counts), as .npy or as .npz with x.
The output is int32 [B, classes], logits summed over the T steps."""
    parser = _command(commands, "run", "run inputs through an artifact", _do_run, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument("--backend", choices=("reference", "torch", "onnxruntime", "lava"), default="reference")
    parser.add_argument("--input", required=True, metavar="X.npy", help="inputs to run")
    parser.add_argument("--output", required=True, metavar="Y.npy", help="where the logits go")
    parser.add_argument("--per-step", action="store_true", help="keep [B, T, classes] instead of the sum over T")
    parser.add_argument(
        "--timing",
        choices=("algorithmic", "pipelined"),
        default="algorithmic",
        help="algorithmic: every layer in the same step (pipelined is not available in this version)",
    )


def _verify(commands: Any) -> None:
    details = "Checks every file's digest, runs every form again and compares all integers with the interpreter."
    parser = _command(commands, "verify", "check an artifact and certify it again", _do_verify, details)
    parser.add_argument("artifact", metavar="DIR", help="an artifact folder")
    parser.add_argument("--json", metavar="FILE", help="write the certificate there ('-': to standard output alone)")


def _simulate(commands: Any) -> None:
    details = """\
Counts what flows on real inputs, places the network on the chip's cores, prices it with the chip file's figures
and compares it with baselines, each from its own trained checkpoint. Without DIR, the newest artifact under
build/ is taken. Without --baseline, networks that a shipped recipe trained get the shipped fair set: the binary
SNN at T=N and at T=1, SEW with the same neuron, and the quantized ANN on a dense accelerator."""
    parser = _command(commands, "simulate", "count, place and price an artifact", _do_simulate, details)
    parser.add_argument("artifact", nargs="?", metavar="DIR", help="an artifact folder (default: the newest)")
    parser.add_argument("--chip", metavar="NAME|FILE.toml", help="a chip (default: the artifact's target)")
    parser.add_argument("--energy-report", action="store_true", help="print the report (also the default)")
    parser.add_argument("--input", metavar="X.npz", help="inputs x and classes y instead of the artifact's samples")
    parser.add_argument(
        "--baseline",
        action="append",
        metavar="LABEL=DIR",
        help="another artifact, or a shipped network by name (binary, binary-t1, sew, qann); 'none' for none",
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON ('-': to standard output alone)")
    parser.add_argument("--html", metavar="FILE", help="write the report as one self-contained page")


def _compare(commands: Any) -> None:
    parser = _command(commands, "compare", "compare two JSON reports of simulate", _do_compare)
    parser.add_argument("first", metavar="A.json")
    parser.add_argument("second", metavar="B.json")


def _inspect(commands: Any) -> None:
    parser = _command(commands, "inspect", "show what is in a checkpoint or an artifact", _do_inspect)
    parser.add_argument("path", metavar="FILE|DIR")


def _chips(commands: Any) -> None:
    _command(commands, "chips", "list the chips that come with snn2chip", _do_chips)


def _doctor(commands: Any) -> None:
    details = """\
--fix lava builds Lava's own environment (Python 3.10 where one is found, else this Python with two small patches);
nothing of it enters the environment that you run this command from."""
    parser = _command(
        commands, "doctor", "check that every backend works, or build what is missing", _do_doctor, details
    )
    parser.add_argument("--fix", choices=("lava",), help="build what is missing")
    parser.add_argument("--python", choices=("auto", "python310", "current"), default="auto", help="for --fix lava")


def _do_train(options: argparse.Namespace) -> int:
    from snn2chip import training

    result = training.train(options.recipe, options.out, seed=options.seed, epochs=options.epochs)
    print(f"{options.out}: {100 * result.test_accuracy:.2f} % on the test split (best epoch: {result.best_epoch + 1})")
    return 0


def _do_export(options: argparse.Namespace) -> int:
    from snn2chip import api, terminal

    with terminal.progress() as report:
        exported = api.export(
            options.model, options.target, options.out, options.calibration, bits=options.bits, report=report
        )
    print(terminal.export_summary(exported))
    return 1 if exported.certificate.verdict == "DIFFERENT" else 0


def _do_run(options: argparse.Namespace) -> int:
    from snn2chip import api, files

    per_step = api.run(options.artifact, options.input, options.backend, options.timing)
    files.write_array(options.output, per_step if options.per_step else per_step.sum(axis=1, dtype=per_step.dtype))
    return 0


def _do_verify(options: argparse.Namespace) -> int:
    from snn2chip import api, files, terminal

    with terminal.progress() as report:
        certificate = api.verify(options.artifact, report)
    if options.json:
        files.write_or_print(options.json, files.canonical_json(certificate.to_json()))
    if options.json != "-":
        print(terminal.certificate_table(certificate))
    return 0 if certificate.verdict == "EXACT" else 1


def _do_simulate(options: argparse.Namespace) -> int:
    from snn2chip import api, files, simulation, terminal
    from snn2chip.report.terminal import text

    if options.json == options.html == "-":
        raise UserError("--json - and --html - both want standard output: give one of them a file")
    for path in (options.json, options.html):
        files.check_writable(path)
    folder = options.artifact or api.newest_artifact()
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


def _do_compare(options: argparse.Namespace) -> int:
    from snn2chip import report

    print(report.compare(report.read(options.first), report.read(options.second)))
    return 0


def _do_inspect(options: argparse.Namespace) -> int:
    from snn2chip import api

    print(api.inspect(options.path))
    return 0


def _do_chips(options: argparse.Namespace) -> int:
    from snn2chip import terminal

    print(terminal.chip_table())
    return 0


def _do_doctor(options: argparse.Namespace) -> int:
    from snn2chip import doctor

    if options.fix:
        doctor.fix_lava(options.python, print)
    healthy, lines = doctor.examine()
    print("\n".join(lines))
    return 0 if healthy else 1


if __name__ == "__main__":
    entry()
