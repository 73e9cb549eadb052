"""The command line: which command, and which exit code. The commands are in `snn2chip.commands`.

Exit codes: 0 done, 1 a check did not hold, 2 bad usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import snn2chip
from snn2chip.commands import COMMANDS
from snn2chip.commands.base import Execute
from snn2chip.errors import Snn2chipError, UserError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

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
        execute: Execute = options.execute
        code = execute(options)
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
    sys.unraisablehook = _interrupt_again
    code = main()
    # What was asked for is done: Ctrl-C while Python takes itself down would only end in a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An interrupt that passed through an `exec` of text (dataclasses make their methods so, while torch is imported)
    # stays noted in Python although it was caught, and `python -m` would then die of the signal instead of returning
    # our code. The next `exec` clears the note.
    exec("")  # noqa: S102 - nothing is executed
    sys.exit(code)


def _interrupt_again(unraisable: UnraisableHookArgs) -> None:
    """Deliver a Ctrl-C that fell where Python can only print an exception and go on: a finalizer, a module's lock."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    # From within this hook it would be lost like the first one: it has to arrive after the hook has returned.
    main_thread = threading.main_thread().ident
    threading.Timer(0.01, signal.pthread_kill, (main_thread, signal.SIGINT)).start()


def _say(sentence: str, code: int) -> int:
    print(f"snn2chip: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snn2chip", description=_OVERVIEW, epilog=_ENDNOTE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"snn2chip {snn2chip.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    entry()
