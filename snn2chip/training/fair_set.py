"""Trains a network and everything that it is fairly compared with: one recipe, one budget, several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from snn2chip import data
from snn2chip.data import Dataset
from snn2chip.errors import UserError
from snn2chip.nn.families import fair_set
from snn2chip.training.progress import Progress
from snn2chip.training.recipes import RECIPES, Recipe
from snn2chip.training.train import DEFAULTS, Options, TrainingResult, finished, train

#: The data of a recipe: networks of one fair set differ in T, and events are summed into T frames.
Load = Callable[[Recipe], Dataset]


def load(recipe: Recipe) -> Dataset:
    """The data that a recipe names, where they need no files."""
    return data.load(recipe.dataset, steps=recipe.steps)


def fair_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """The recipes of the fair set by label, ``recipe`` itself first: they differ in ``arch_kwargs`` alone.

    Where a shipped recipe is the same but for its name, it stands in its place, so that both make the same file.

    Raises:
        UserError: ``recipe`` trains no multi-level network.
    """
    recipes: dict[str, Recipe] = {}
    for label, kwargs in fair_set(recipe.arch_kwargs, recipe.arch).items():
        derived = replace(recipe, name=f"{recipe.name}/{label}", label=label, arch_kwargs=kwargs)
        recipes[label] = _shipped(derived) or derived
    own = next(iter(recipes))
    return {**recipes, own: recipe}


def _shipped(recipe: Recipe) -> Recipe | None:
    return next((known for known in RECIPES.values() if _unnamed(known) == _unnamed(recipe)), None)


def _unnamed(recipe: Recipe) -> Recipe:
    return replace(recipe, name="", label="")


def train_fair_set(
    recipe: Recipe,
    out: str | Path,
    seeds: Sequence[int],
    epochs: int | None = None,
    load: Load = load,
    options: Options = DEFAULTS,
    progress: Progress | None = None,
) -> Iterator[tuple[str, TrainingResult]]:
    """Trains every network of the fair set of ``recipe`` from every seed; yields label and result as each is done.

    Each is written to ``out/<label>-seed<seed>.pt``. What is there already is not trained again, and what was broken
    off goes on where it stopped.

    Args:
        recipe: of a multi-level network.
        out: a folder.
        seeds: at least one; each network is trained once from each.
        epochs: instead of the recipe's, for all networks alike.
        load: the data of each recipe.
        options, progress: as in `snn2chip.training.train`.

    Raises:
        UserError: no seeds or one of them twice, a file in ``out`` that other settings made, or what `train` refuses.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {list(seeds)}: give at least one, and each of them once")
    recipes, folder = fair_recipes(recipe), Path(out)
    jobs = [(label, seed, folder / f"{label}-seed{seed}.pt") for seed in seeds for label in recipes]
    done = {path: finished(recipes[label], path, seed, epochs) for label, seed, path in jobs}
    for path, result in done.items():
        if result is None and path.exists():
            raise UserError(
                f"{path}: another recipe, seed or number of epochs made it: choose another folder, or delete it"
            )
    for label, seed, path in jobs:
        one = recipes[label]
        yield label, done[path] or train(one, path, seed, epochs, True, progress, load(one), options)
