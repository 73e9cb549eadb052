"""`snn2chip simulate`: one network on one chip, beside baselines that get the same care.

A baseline is a network of its own, trained on its own; nothing is derived from the network under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snn2chip import api, artifact, engine, zoo
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Graph
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate as simulate_network
from snn2chip.report import EnergyReport
from snn2chip.report.summaries import named

#: A quantized ANN runs on a dense accelerator: without and with skipping of zero activations.
ANN_CHIPS = ("dense-45nm", "dense-45nm-zero-skipping")
_ANN = "qann"
_NONE = "none"


@dataclass(frozen=True)
class Contender:
    """One row of the comparison: a network, how it was trained, the samples it is fed, and the chip that it runs on."""

    label: str
    graph: Graph
    samples: Samples
    chip: Chip
    training: Mapping[str, Any] = field(default_factory=dict)


def simulate(
    folder: str | Path | None = None,
    chip: str | Path | None = None,
    inputs: str | Path | None = None,
    baselines: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EnergyReport:
    """Count, place and price an artifact and its baselines.

    Args:
        folder: an artifact; by default the newest under ``build/``.
        chip: name of a chip or path of a chip file; by default the artifact's target.
        inputs: ``.npz`` with ``x`` and optional ``y``; by default the artifact's real samples.
        baselines: ``LABEL=DIR``, or names of the shipped fair set; None for the whole fair set where a shipped recipe
            trained the network, ``["none"]`` for no baseline.
        report: told what goes on.
    Raises: UserError where there are no inputs, or a folder, chip or name is unknown.
    """
    read = artifact.read(folder or api.newest_artifact())
    samples = artifact.read_samples(inputs) if inputs else read.samples
    if samples is None:
        raise UserError(f"{read.folder}: it holds NO REAL INPUTS to count events on: give some with --input X.npz")
    _check_labels(read, samples)
    priced = load_chip(chip or read.description.target)
    own = Contender(read.description.name, read.graph, samples, priced, read.description.training)
    others = _baselines(_names(baselines, read), samples, priced)
    networks = tuple(_run(contender, report) for contender in (own, *others))
    return EnergyReport(networks, _training_notes(own, others))


def _check_labels(read: artifact.Artifact, samples: Samples) -> None:
    classes = read.graph.signals[read.graph.output.name].shape[0]
    if samples.y is not None and len(samples.y) and not 0 <= samples.y.min() <= samples.y.max() < classes:
        raise UserError(f"the labels y hold {samples.y.max()}, but {read.folder} has the classes 0..{classes - 1}")


def _training_notes(own: Contender, others: Sequence[Contender]) -> tuple[str, ...]:
    """A sentence where the networks do not come from one training budget and one shape."""
    unlike = [other.label for other in others if _budget(other.training) != _budget(own.training)]
    if not unlike:
        return ()
    note = (
        f"{own.label} was not trained as {', '.join(unlike)} were: epochs, network shape or data differ, "
        "so that accuracies and activities compare trainings as well as networks."
    )
    return (note,)


def _budget(training: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the members of a fair set share: data, epochs, and the size of the network."""
    recipe = training.get("recipe")
    arch = recipe.get("arch_kwargs", {}) if isinstance(recipe, dict) else {}
    return training.get("dataset"), training.get("epochs"), arch.get("width"), arch.get("blocks_per_stage")


def _run(contender: Contender, report: Callable[[str], None]) -> NetworkReport:
    report(named(contender.label, contender.chip.name))
    samples = contender.samples
    try:
        return simulate_network(
            contender.graph, samples.x, samples.y, contender.chip, label=contender.label, execute=engine.run
        )
    except UserError as error:
        raise UserError(f"network {contender.label!r}: {error}") from None


def _names(asked: Sequence[str] | None, read: artifact.Artifact) -> list[str]:
    if asked is not None:
        return [name for name in asked if name != _NONE]
    return list(zoo.FAIR_SET) if read.description.training.get("dataset") == "digits" else []


def _baselines(names: Sequence[str], samples: Samples, chip: Chip) -> list[Contender]:
    found: list[Contender] = []
    for name in names:
        label, _, folder = name.partition("=")
        if folder:
            found.append(_other(label, folder, samples, chip))
        elif label in zoo.FAIR_SET:
            found.extend(_shipped(label, samples, chip))
        else:
            raise UserError(f"baseline {name!r} is unknown: give LABEL=DIR, or one of {', '.join(zoo.FAIR_SET)}")
    return found


def _other(label: str, folder: str, samples: Samples, chip: Chip) -> Contender:
    try:
        read = artifact.read(folder)
    except UserError as error:
        raise UserError(f"baseline {label!r}: {error}") from None
    return Contender(label, read.graph, samples, chip, read.description.training)


def _shipped(label: str, samples: Samples, chip: Chip) -> list[Contender]:
    shipped = api.compile_file(zoo.path(zoo.FAIR_SET[label]))
    if label != _ANN:
        return [Contender(label, shipped.graph, samples, chip, shipped.training)]
    return [
        Contender(f"{label} on {name}", shipped.graph, samples, load_chip(name), shipped.training) for name in ANN_CHIPS
    ]
