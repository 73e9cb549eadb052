"""``snn2chip chips fit``: prices of a chip from measured joules."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import command
from snn2chip.errors import UserError

if TYPE_CHECKING:
    from snn2chip.report.measured import Fit


def add(actions: Any) -> None:
    """Declares the command among those of ``snn2chip chips``."""
    details = """\
MEASUREMENTS.csv has the columns 'report' (a JSON report of 'simulate --chip CHIP', of which the first network counts;
its path is seen from the CSV) and 'joules' (of one inference, static energy included where the chip states a static
power). The prices that you name are fitted by non-negative least squares of the relative errors; all others stay
nominal. A new chip file is written that inherits from CHIP."""
    parser = command(actions, "fit", "fit prices to measured joules", _fit, details)
    parser.add_argument("measurements", metavar="MEASUREMENTS.csv", help="networks and the joules of one inference")
    parser.add_argument("--chip", required=True, metavar="NAME|FILE.toml", help="the chip that was simulated")
    parser.add_argument(
        "--price",
        action="append",
        required=True,
        metavar="ACTION",
        help="a price to fit, or 'static' for the static power; may be repeated",
    )
    parser.add_argument("--out", required=True, metavar="FILE.toml", help="the chip file to write")


def _fit(options: argparse.Namespace) -> int:
    from snn2chip import files
    from snn2chip.hw_models.chip import load_chip
    from snn2chip.report import measured

    out, chip = Path(options.out), load_chip(options.chip)
    if out.suffix != ".toml":
        raise UserError(f"{out}: a chip file is called something.toml")
    files.check_writable(options.out)
    files.check_distinct({"--out": out}, {"--chip": chip.path, "MEASUREMENTS.csv": options.measurements})
    measurements = measured.read_measurements(options.measurements, chip)
    found = measured.fit(chip, measurements, list(dict.fromkeys(options.price)))
    parent = _parent(options.chip, chip.path, out)
    text = measured.toml_text(found, out.stem, parent, Path(options.measurements))
    files.write_bytes(out, text.encode())
    load_chip(out)  # what was written has to be a chip file
    print(_text(found, out))
    return 0


def _parent(asked: str, path: Path, out: Path) -> str:
    """How the new file names its parent: a shipped chip by name, a file as seen from the new one."""
    return os.path.relpath(path.resolve(), out.resolve().parent) if Path(asked).suffix == ".toml" else asked


def _text(found: Fit, out: Path) -> str:
    from snn2chip import terminal
    from snn2chip.report.measured import STATIC
    from snn2chip.report.units import quantity, quantity_range

    before = {name: found.chip.prices[name].known for name in found.prices if name != STATIC}
    prices = terminal.table(
        ("price", "chip file", "fitted (low..high)"),
        [
            (name, known.text if (known := before.get(name)) else found.chip.numbers["power.static"].text, shown)
            for name, shown in (
                (name, quantity_range(price, "W" if name == STATIC else "J")) for name, price in found.prices.items()
            )
        ],
    )
    rows = zip(found.measurements, found.before, found.after, found.residuals, strict=True)
    residuals = terminal.table(
        ("report", "measured", "chip file", "fitted", "residual"),
        [
            (
                item.report,
                *(quantity(value, "J") for value in (item.joules, *values)),
                f"{round(100 * error, 2) + 0.0:+.2f} %",
            )
            for item, *values, error in rows
        ],
    )
    return f"{prices}\n\n{residuals}\n\n{out}"
