"""What commands that train take: the network, the data and the machine, instead of a recipe's own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn2chip.data import Dataset
    from snn2chip.training import Options, Recipe


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare them; `recipe_and_data` and `machine` read them."""
    _add_network(parser)
    _add_data(parser)
    _add_machine(parser)


def recipe_and_data(options: argparse.Namespace) -> tuple[Recipe, Dataset]:
    """The recipe as the options change it, and the data."""
    recipe = _recipe(options)
    dataset = load_for(options, recipe)
    return (recipe.on(dataset) if options.data or options.loader else recipe), dataset


def load_for(options: argparse.Namespace, recipe: Recipe) -> Dataset:
    """The data of a recipe, with as many frames as it has steps."""
    from snn2chip import data

    source = options.data or options.loader or recipe.dataset
    return data.load(source, options.root, recipe.steps, options.frame_size, options.unchecked_data)


def machine(options: argparse.Namespace) -> Options:
    """Device, mixed precision and logs."""
    from snn2chip import training

    return training.Options(options.device, options.amp, tuple(options.log))


def _recipe(options: argparse.Namespace) -> Recipe:
    import dataclasses

    from snn2chip.training import recipes

    network = {name: getattr(options, name) for name in ("block", "levels", "steps", "width")}
    recipe = recipes.get(options.recipe).with_network(**network)
    if options.activity_penalty is None:
        return recipe
    return dataclasses.replace(recipe, activity_penalty=options.activity_penalty)


def _add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network", "instead of the recipe's")
    group.add_argument("--block", metavar="NAME", help="residual block: sparse, sew, spiking or ms")
    group.add_argument("--levels", type=int, metavar="N", help="levels of the neuron; 1 is binary")
    group.add_argument("--steps", type=int, metavar="T", help="time steps, and frames of event data")
    group.add_argument("--width", type=int, metavar="C", help="channels of the first stage")
    group.add_argument(
        "--activity-penalty", type=float, metavar="W", help="added to the loss per event that a synapse sees"
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data", "instead of the recipe's")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="NAME|FILE", help="a known data set, an .npz, or a folder of .npy files")
    source.add_argument("--loader", metavar="PACKAGE.MODULE:FUNCTION", help="a function that returns the data")
    group.add_argument("--root", metavar="DIR", help="where the files of a known data set are")
    group.add_argument("--frame-size", type=int, metavar="N", help="rows and columns of event cameras' frames")
    group.add_argument("--unchecked-data", action="store_true", help="take CIFAR files that are not the original ones")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine and logs")
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto: a GPU if there is one)"
    )
    group.add_argument("--amp", action="store_true", help="mixed precision: bfloat16 on a CPU, float16 on a GPU")
    group.add_argument(
        "--log", action="append", default=[], metavar="KIND", help="also write csv or tensorboard; may be repeated"
    )
