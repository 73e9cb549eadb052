"""The options that say what a model file does not say about itself: the same for every command that reads one."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from snn2chip.errors import UserError

if TYPE_CHECKING:
    from snn2chip.frontend import ImportOptions


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """Declare them; `import_options` reads them."""
    group = parser.add_argument_group("models from elsewhere", "what the file does not say about itself")
    group.add_argument(
        "--arch",
        metavar="PACKAGE.MODULE:FACTORY",
        help="builds the network that weights belong to; or a network of snn2chip.nn, such as resnet or vgg",
    )
    group.add_argument(
        "--arch-kw",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a keyword argument of the factory, may be repeated; VALUE is JSON where it reads as JSON, else a string",
    )
    group.add_argument("--input-shape", metavar="C,H,W", help="one input, such as 3,32,32")
    group.add_argument("--input-largest", type=int, default=255, metavar="N", help="largest input value (default 255)")
    group.add_argument(
        "--input-scale",
        default="1",
        metavar="S",
        help="real input per count, such as 1/255 or 0.0625 (default 1)",
    )
    group.add_argument("--steps", type=int, metavar="T", help="time steps, where the network does not say")
    group.add_argument(
        "--output-index", type=int, metavar="I", help="which of several returned tensors is read, from 0"
    )
    group.add_argument("--dt", type=float, default=1e-4, metavar="SECONDS", help="one step of NIR (default 1e-4)")
    group.add_argument(
        "--allow-pickle",
        action="store_true",
        help="load a pickled module: runs whatever code the file holds, with your rights",
    )


def import_options(options: argparse.Namespace) -> ImportOptions:
    """What was given on the command line; warns on standard error where a file may run code.

    Raises: UserError naming the option that is out of range.
    """
    shape, scale = _shape(options.input_shape), _scale(options.input_scale)
    _check_arch(options.arch)
    from snn2chip.frontend import ImportOptions  # torch takes seconds to import
    from snn2chip.frontend.readers.architecture import parse_keywords

    if options.allow_pickle:
        print(
            "snn2chip: --allow-pickle: loading a pickled model runs whatever code the file holds, with your rights: it "
            "can read, change and send any file of yours; give it only for files whose makers you trust",
            file=sys.stderr,
        )
    return ImportOptions(
        arch=options.arch,
        arch_kwargs=parse_keywords(options.arch_kw),
        input_shape=shape,
        largest=options.input_largest,
        input_scale=scale,
        steps=options.steps,
        output=options.output_index,
        dt=options.dt,
        allow_pickle=options.allow_pickle,
    )


def refuse_import_options(options: argparse.Namespace, path: str) -> None:
    """UserError naming the first of these options that was given beside an artifact, which needs none."""
    parser = argparse.ArgumentParser()
    add_import_options(parser)
    for name, default in vars(parser.parse_args([])).items():
        if getattr(options, name) != default:
            raise UserError(f"--{name.replace('_', '-')}: {path} is an artifact, which says that itself: leave it out")


def _check_arch(arch: str | None) -> None:
    """A dot where the colon belongs: no network of snn2chip.nn has one in its name."""
    if arch is None or ":" in arch or "." not in arch:
        return
    module, _, factory = arch.rpartition(".")
    raise UserError(f"--arch {arch!r}: write it as package.module:factory: did you mean '{module}:{factory}'?")


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        raise UserError(f"--input-shape {text!r}: give whole numbers with commas between, such as 3,32,32") from None
    if len(sizes) == 2:
        features = sizes[0] * sizes[1]
        raise UserError(
            f"--input-shape {text}: write 1,{text} for one channel of {sizes[0]}x{sizes[1]}, or {features} for "
            f"{features} features, as the network takes it"
        )
    return sizes


def _scale(text: str) -> float:
    """A number, or a ratio of two: images in 0..1 are 1/255 per count."""
    above, _, below = text.partition("/")
    try:
        return float(above) if above == text else float(above) / float(below)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"--input-scale {text!r}: give a number or a ratio, such as 1/255") from None
