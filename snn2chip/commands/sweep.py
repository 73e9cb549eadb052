"""``snn2chip sweep``: networks, weight bits and chips, every combination of them, and what is worth having."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import check_inputs, command
from snn2chip.commands.importing import add_import_options, import_options, refuse_import_options
from snn2chip.errors import UserError

if TYPE_CHECKING:
    from snn2chip.sweep.networks import Source
    from snn2chip.sweep.points import Choice
    from snn2chip.sweep.results import Results, Row
    from snn2chip.sweep.variants import Setting

_DETAILS = """\
Simulates every network with every number of weight bits on every chip, and shows which combinations no other one
beats in accuracy, energy and latency. Networks are trained checkpoints and artifacts; without MODEL, the shipped ones
of --zoo. Weights are quantized as 'snn2chip quantize' does. --set varies a number of the chips.
DIR keeps one file per point: a sweep that was interrupted goes on where it was, several may use one DIR at once, and
nothing is computed twice. DIR/sweep.csv, sweep.json and pareto.svg hold what was asked for last."""


def add(commands: Any) -> None:
    parser = command(commands, "sweep", "explore networks, weight bits and chips", _execute, _DETAILS)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model files and artifact folders")
    parser.add_argument("--out", default="build/sweep", metavar="DIR", help="the store (default build/sweep)")
    _add_space(parser)
    parser.add_argument(
        "--objectives",
        default="accuracy,energy,latency",
        metavar="NAME,...",
        help="what counts: accuracy, energy (dynamic), total (with static), latency, interval "
        "(default accuracy,energy,latency)",
    )
    parser.add_argument(
        "--per-chip", action="store_true", help="a front for each chip, for scenarios that are no alternatives"
    )
    parser.add_argument(
        "--scheduler",
        default="local",
        metavar="WHERE",
        help="local (one process), processes, or tcp://HOST:PORT of a Dask scheduler (default local)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="of --scheduler processes (default: one a core)")
    add_import_options(parser)


def _add_space(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the space: lists with commas between")
    group.add_argument("--zoo", metavar="DATASET", help="the shipped networks of digits (default) or event-digits")
    group.add_argument("--seeds", metavar="S,...", help="of the shipped networks, 0..2 (default 0)")
    group.add_argument("--N", metavar="N,...", dest="levels", help="only networks of these levels")
    group.add_argument("--T", metavar="T,...", dest="time_steps", help="only networks of these time steps")
    group.add_argument("--block", metavar="NAME,...", help="only these blocks: sparse, sew, ms, spiking, vgg, qann")
    group.add_argument("--bits", metavar="B,...", help="weight bits, 2..8 (default 8)")
    group.add_argument("--chip", default="loihi2", metavar="CHIP,...", help="names and files (default loihi2)")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="of the chips, such as limits.neurons_per_core=512,1024 or 'prices.hop_x=3 pJ,6 pJ'; may be repeated",
    )
    group.add_argument("--calibration", metavar="X.npz", help="quantize on these inputs (default: the training part)")
    group.add_argument("--input", metavar="X.npz", help="count on these inputs (default: each network's test samples)")
    group.add_argument("--samples", type=int, metavar="N", help="only the first N of them (default: all)")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import terminal
    from snn2chip.sweep import pareto, schedulers, variants
    from snn2chip.sweep.points import plan
    from snn2chip.sweep.store import Store
    from snn2chip.sweep.sweep import sweep, write

    objectives = pareto.parse(options.objectives.split(","))
    run, folder = schedulers.named(options.scheduler, options.workers), Path(options.out)
    choice, bits, settings = _choice(options), _bits(options.bits), _settings(options)
    chips = variants.variants(_chips(options.chip), settings, folder.absolute() / Store.CHIPS)
    sources = _sources(options)
    with terminal.progress() as report:
        report("reading networks")
        points = plan(sources, choice, bits, chips)
        store = Store.create(folder)
        variants.write(chips)
        found = sweep(store, points, objectives, run, options.per_chip, report)
    written = write(found, folder)
    print(_text(found, options.per_chip))
    print(*written, sep=", ")
    return 0


def _choice(options: argparse.Namespace) -> Choice:
    from snn2chip.sweep.points import Choice

    blocks = options.block.split(",") if options.block else None
    return Choice(_numbers("--N", options.levels), _numbers("--T", options.time_steps), blocks)


def _bits(text: str | None) -> list[int] | None:
    bits = _numbers("--bits", text)
    if wrong := [number for number in bits or () if not 2 <= number <= 8]:
        raise UserError(f"--bits {wrong[0]}: weights have 2 to 8 bits")
    return bits


def _settings(options: argparse.Namespace) -> list[Setting]:
    from snn2chip.sweep import variants

    return [variants.parse(text) for text in options.set]


def _chips(text: str) -> list[str]:
    return [str(_absolute(name)) if name.endswith(".toml") else name for name in text.split(",")]


def _sources(options: argparse.Namespace) -> list[Source]:
    from snn2chip.sweep.networks import Source, options_text

    if options.samples is not None and options.samples < 1:
        raise UserError(f"--samples {options.samples}: give 1 or more")
    check_inputs([options.calibration, options.input])
    models = _models(options)
    text = options_text(import_options(options))
    calibration, inputs = _absolute(options.calibration), _absolute(options.input)
    return [Source(path, text, calibration, inputs, options.samples) for path in models]


def _models(options: argparse.Namespace) -> list[str]:
    """Absolute paths: workers have other working folders."""
    from snn2chip import zoo

    if options.models:
        if options.zoo or options.seeds:
            raise UserError("--zoo and --seeds choose among the shipped networks: leave them out, or leave out MODEL")
        _check_models(options.models, options.out)
        if all(Path(path).is_dir() for path in options.models):
            refuse_import_options(options, options.models[0])
        return [str(_absolute(path)) for path in options.models]
    dataset = options.zoo or "digits"
    if dataset not in zoo.FOLDERS:
        raise UserError(f"--zoo {dataset}: there are shipped networks of {', '.join(zoo.FOLDERS)}")
    seeds = _numbers("--seeds", options.seeds) or [0]
    return [str(zoo.path(name, seed, dataset)) for name in zoo.names(dataset) for seed in seeds]


def _check_models(models: Sequence[str], out: str) -> None:
    store = Path(os.path.realpath(out))
    for path in models:
        if not Path(path).exists():
            raise UserError(f"{path}: no such file: name a model file or the folder of an artifact")
        if Path(path).is_dir() and store.is_relative_to(os.path.realpath(path)):
            raise UserError(f"--out {out}: it lies inside {path}, an artifact that is only read: choose another folder")


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} {text}: give whole numbers with commas between, such as 1,4") from None


def _text(found: Results, per_chip: bool) -> str:
    from snn2chip import terminal

    names = ", ".join(objective.name for objective in found.objectives)
    count = len(found.front)
    other = "no other on its chip" if per_chip else "no other"
    points = "1 point" if len(found.rows) == 1 else f"{len(found.rows)} points"
    lines = [f"{points}; {count} that {other} beats in {names}:", ""]
    header = (
        "",
        "network",
        "block",
        "N",
        "T",
        "bits",
        "chip",
        "accuracy",
        "energy (low..high)",
        "latency",
        "cores",
        "if prices are",
    )
    lines.append(terminal.table(header, [_line(row) for row in found.front]))
    lines += _aside("refused", [f"{row.point.label}: {row.refused}" for row in found.refused])
    lines += _aside(
        f"without one of {names}, so compared with nothing", [row.point.label for row in found.incomparable]
    )
    return "\n".join([*lines, ""])


def _aside(heading: str, entries: Sequence[str], most: int = 5) -> list[str]:
    if not entries:
        return []
    more = [f"  ... and {len(entries) - most} more (see sweep.csv)"] if len(entries) > most else []
    return ["", f"{heading}: {len(entries)}", *(f"  {entry}" for entry in entries[:most]), *more]


def _line(row: Row) -> tuple[str, ...]:
    from snn2chip.report.units import percent, quantity, quantity_range
    from snn2chip.sweep.results import PRICES

    point, result = row.point, row.result
    settings = " ".join(f"{key.partition('.')[2]}={value}" for key, value in point.settings.items())
    placement = None if result is None else result["placement"]
    return (
        str(row.number),
        point.network,
        point.block or "",
        str(point.levels),
        str(point.steps),
        "as is" if point.bits is None else str(point.bits),
        f"{point.chip} {settings}".strip(),
        percent(row.values["accuracy"], 2),
        quantity_range(row.energy, "J"),
        quantity(row.values["latency"], "s"),
        "" if placement is None else _cores(placement["cores"], placement["chips"]),
        "any" if len(row.front_at) == len(PRICES) else " or ".join(row.front_at),
    )


def _cores(cores: int, chips: int) -> str:
    return str(cores) if chips == 1 else f"{cores} on {chips} chips"
