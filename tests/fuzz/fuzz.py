"""Random networks through everything that executes them, until the time is up.

    python -m tests.fuzz.fuzz --seconds 600 [--seed 1] [--checks oracle engine ...]

A network that comes out wrong is made small and kept in ``tests/crashers/``, which a test replays; its check is then
left out of the rest of the run. The exit code is 1 where anything was found.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy: threads cost more than such matrices take
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.differential.strategies import Case, cases  # noqa: E402
from tests.fuzz.checks import CHECKS, Check, missing  # noqa: E402
from tests.fuzz.crashers import FOLDER, save  # noqa: E402


@dataclass
class Tally:
    """What a check has seen: networks drawn, networks compared, and files kept."""

    drawn: int = 0
    compared: int = 0
    kept: list[Path] = field(default_factory=list)


def hunt(checks: Mapping[str, Check], seconds: float, first_seed: int, folder: Path = FOLDER) -> dict[str, Tally]:
    """Rounds of every check in turn, each with a fresh seed, until `seconds` have passed; at least one round each."""
    end = time.monotonic() + seconds
    tallies = {name: Tally() for name in checks}
    for number in range(sys.maxsize):
        for name, check in checks.items():
            if number and time.monotonic() >= end:
                return tallies
            if not tallies[name].kept:
                _round(name, check, first_seed + number, tallies[name], folder)
        if all(tally.kept for tally in tallies.values()):
            return tallies
    return tallies


def _round(name: str, check: Check, round_seed: int, tally: Tally, folder: Path) -> None:
    latest: list[list[Case]] = []
    phases = [Phase.generate, Phase.shrink] if check.shrinks else [Phase.generate]

    @seed(round_seed)
    @settings(
        max_examples=check.examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(st.lists(cases(**check.limits), min_size=check.batch, max_size=check.batch))
    def compare(drawn: list[Case]) -> None:
        latest[:] = [drawn]
        tally.compared += check.compare(drawn)
        tally.drawn += len(drawn)

    try:
        compare()
    except Exception as error:  # noqa: BLE001  # whatever goes wrong is what the fuzzer looks for
        (last,) = latest  # hypothesis ends with the smallest failure
        message = f"{type(error).__name__}: {error}"
        tally.kept = sorted({save(case, name, message, folder) for case in _culprits(check, last)})


def _culprits(check: Check, drawn: list[Case]) -> list[Case]:
    """Those that fail alone; all of them where none does."""
    return [case for case in drawn if len(drawn) == 1 or _fails(check, case)] or drawn


def _fails(check: Check, case: Case) -> bool:
    try:
        check.compare([case])
    except Exception:  # noqa: BLE001  # as above
        return True
    return False


def _summary(tallies: Mapping[str, Tally], absent: Mapping[str, str], first_seed: int, seconds: float) -> str:
    parts = [f"{name} {tally.compared} of {tally.drawn}" for name, tally in tallies.items()]
    parts += [f"{name} none ({reason})" for name, reason in absent.items()]
    kept = [str(path) for tally in tallies.values() for path in tally.kept]
    found = f"kept {', '.join(kept)}" if kept else "nothing found"
    return f"{seconds:.0f} s, seed {first_seed}: networks compared: {', '.join(parts)}; {found}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz", description="Random networks, compared.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look (60)")
    parser.add_argument("--seed", type=int, default=None, help="repeats an earlier run (a fresh one)")
    parser.add_argument("--checks", nargs="+", choices=CHECKS, default=list(CHECKS), help="what to compare (all)")
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where failing networks go (tests/crashers)")
    options = parser.parse_args(arguments)
    first_seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    absent = {name: reason for name in options.checks if (reason := missing(name)) is not None}
    chosen = {name: CHECKS[name] for name in options.checks if name not in absent}
    start = time.monotonic()
    tallies = hunt(chosen, options.seconds, first_seed, options.keep)
    sys.stdout.write(_summary(tallies, absent, first_seed, time.monotonic() - start) + "\n")
    return 1 if any(tally.kept for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
