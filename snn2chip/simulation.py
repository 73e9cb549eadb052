"""`snn2chip simulate`: one network on one chip, beside baselines that get the same care.

A baseline is a network of its own, trained on its own; the network under test, executed otherwise, is called derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import api, artifact, engine, interpreter, zoo
from snn2chip.artifact import Samples
from snn2chip.errors import UserError, naming
from snn2chip.graph import Graph
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate as simulate_network
from snn2chip.report import EnergyReport
from snn2chip.report.about import about
from snn2chip.report.summaries import named

#: A quantized ANN runs on a dense accelerator: without and with skipping of zero activations. By what follows the name.
ANN_FORMS = {"dense": "dense-45nm", "zero-skipping": "dense-45nm-zero-skipping"}
ANN_CHIPS = tuple(ANN_FORMS.values())
#: Beside a network under Qualia's equations, also the quantized ANN under those equations.
_FORMAL = {f"lemaire-45nm-{mode}": f"lemaire-45nm-{mode}-dense" for mode in ("qualia", "as-published")}
_ANN = "qann"
#: One's own network on the array: at T = 1 it computes what a quantized ANN of as many levels computes.
_OWN = "own"
_NONE = "none"
#: Of the shipped fair set, what a report shows unless others are asked for: the other blocks come on request.
_SHOWN = ("binary", "binary-t1", "sew", "qann")


@dataclass(frozen=True)
class Contender:
    """One row of the comparison: a network, how it was trained, the samples it is fed, and the chip that it runs on.

    ``own_samples`` says that they are those of its artifact, because it does not take the frames of the others, and
    ``derived`` from what it was made, where it is no network of its own.
    """

    label: str
    graph: Graph
    samples: Samples
    chip: Chip
    training: Mapping[str, Any] = field(default_factory=dict)
    own_samples: bool = False
    derived: str = ""


def simulate(
    folder: str | Path | None = None,
    chip: str | Path | None = None,
    inputs: str | Path | None = None,
    baselines: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda line: None,
    timing: str = "summary",
    placement: str = "default",
) -> EnergyReport:
    """Count, place and price an artifact and its baselines.

    Args:
        folder: an artifact; by default the newest under ``build/``.
        chip: name of a chip or path of a chip file; by default the artifact's target.
        inputs: ``.npz`` with ``x`` and optional ``y``; by default the artifact's real samples.
        baselines: ``LABEL=DIR``, names of the shipped fair set (``qann-dense`` and ``qann-zero-skipping`` for one of
            the two arrays), or ``own-dense`` and ``own-zero-skipping`` for one's own network on an array; None for the
            usual ones where a shipped recipe trained the network, ``["none"]`` for no baseline. A network of another T
            than the frames of the samples have is fed those of its own artifact.
        report: told what goes on.
        timing: ``detailed`` follows every message on the mesh, on every chip with cores; `chip` has to be one.
        placement: ``optimised`` moves cores on the mesh so that messages travel less, ``fastest`` takes the better of
            it and the default by detailed timing; `chip` has to have cores.
    Raises: UserError where there are no inputs, or a folder, chip or name is unknown.
    """
    read = artifact.read(folder or api.newest_artifact())
    samples = artifact.read_samples(inputs) if inputs else read.samples
    if samples is None:
        raise UserError(f"{read.folder}: it holds NO REAL INPUTS to count events on: give some with --input X.npz")
    with naming(inputs or read.folder):
        interpreter.check_classes(read.graph, samples.y)
    priced = load_chip(chip or read.description.target)
    own = Contender(read.description.name, read.graph, samples, priced, read.description.training)
    others = _baselines(_names(baselines, read), own)
    wanted = (timing, placement)
    networks = (_run(own, report, *wanted), *(_run(other, report, *_possible(other, *wanted)) for other in others))
    notes = (*_training_notes(own, others), *_sample_notes(own, others), *_alone_notes(baselines, others))
    facts = tuple(about(each.graph, each.training, each.chip.sources, each.derived) for each in (own, *others))
    return EnergyReport(networks, notes, about=facts)


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


def _sample_notes(own: Contender, others: Sequence[Contender]) -> tuple[str, ...]:
    """A sentence for each network that did not see what one's own saw."""
    return tuple(
        f"{other.label} (T={other.graph.steps}) was fed the samples of its own artifact, as frames of its own: "
        f"{_likeness(own.samples, other.samples)}."
        for other in others
        if other.own_samples
    )


def _likeness(samples: Samples, other: Samples) -> str:
    if samples.y is None or other.y is None:
        return "whether these are the same recordings is not known, for one of the two has no classes"
    same = np.array_equal(samples.y, other.y)
    return "as many, of the same classes in the same order" if same else "of other classes, and so not the same ones"


def _alone_notes(asked: Sequence[str] | None, others: Sequence[Contender]) -> tuple[str, ...]:
    """How baselines are had, where nobody has asked for any and none is shipped for this network."""
    if others or asked is not None:
        return ()
    note = (
        "No baseline stands beside this network: add exported ones with --baseline LABEL=DIR. 'snn2chip baselines' "
        "trains the fair set of a recipe, also on your own data (--data)."
    )
    return (note,)


def _budget(training: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the members of a fair set share: data, epochs, and the size of the network."""
    recipe = training.get("recipe")
    arch = recipe.get("arch_kwargs", {}) if isinstance(recipe, dict) else {}
    return training.get("dataset"), training.get("epochs"), arch.get("width"), arch.get("blocks_per_stage")


def _possible(other: Contender, timing: str, placement: str) -> tuple[str, str]:
    """What a baseline's chip can do of what is asked for one's own: only cores have messages and places."""
    return (timing, placement) if other.chip.model == "neurocore" else ("summary", "default")


def _run(contender: Contender, report: Callable[[str], None], timing: str, placement: str) -> NetworkReport:
    report(named(contender.label, contender.chip.name))
    samples = contender.samples
    with naming(f"network {contender.label!r}"):
        return simulate_network(
            contender.graph,
            samples.x,
            samples.y,
            contender.chip,
            label=contender.label,
            execute=engine.run,
            timing=timing,
            arrangement=placement,
        )


def _names(asked: Sequence[str] | None, read: artifact.Artifact) -> list[str]:
    if asked is not None:
        if _NONE in asked and len(asked) > 1:
            raise UserError(f"baseline {_NONE!r} stands for no baselines at all: leave it out beside others")
        return [name for name in asked if name != _NONE]
    shipped = zoo.FAIR_SETS.get(str(read.description.training.get("dataset")), {})
    return [name for name in _SHOWN if name in shipped]


def _baselines(names: Sequence[str], own: Contender) -> list[Contender]:
    dataset = str(own.training.get("dataset"))
    dataset = dataset if dataset in zoo.FAIR_SETS else "digits"
    fair_set = zoo.FAIR_SETS[dataset]
    found: list[Contender] = []
    for name in names:
        label, equals, folder = name.partition("=")
        kind, _, form = name.partition("-")
        if equals and label and folder:
            found.append(_other(label, folder, own))
        elif name in fair_set:
            found.extend(_shipped(name, dataset, own))
        elif kind == _ANN and kind in fair_set and form in ANN_FORMS:
            found.extend(_shipped(kind, dataset, own, (ANN_FORMS[form],)))
        elif kind == _OWN and form in ANN_FORMS:
            found.append(_own_on_array(name, ANN_FORMS[form], own))
        else:
            known = [*fair_set, *(f"{each}-{form}" for each in (_ANN, _OWN) for form in ANN_FORMS)]
            raise UserError(f"baseline {name!r} is unknown: give LABEL=DIR, or one of {', '.join(known)}")
    labels = [own.label, *(each.label for each in found)]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise UserError(
            f"two networks would be called {twice!r}: name with --baseline what is to be shown, each under a label of "
            "its own (LABEL=DIR)"
        )
    return found


def _own_on_array(name: str, chip: str, own: Contender) -> Contender:
    if own.graph.steps != 1:
        raise UserError(
            f"baseline {name!r}: at T={own.graph.steps} the network is no quantized ANN, which an array could execute: "
            "name a quantized ANN of its own with LABEL=DIR"
        )
    derived = f"{own.label}, executed as the quantized ANN that it is at T = 1"
    return Contender(f"{own.label} on {chip}", own.graph, own.samples, load_chip(chip), own.training, derived=derived)


def _other(label: str, folder: str, own: Contender) -> Contender:
    with naming(f"baseline {label!r}"):
        read = artifact.read(folder)
        samples, its_own = _fitting(read.graph, read.samples, own.samples)
    return Contender(label, read.graph, samples, own.chip, read.description.training, its_own)


def _shipped(label: str, dataset: str, own: Contender, arrays: Sequence[str] = ()) -> list[Contender]:
    shipped = api.compile_file(zoo.path(zoo.FAIR_SETS[dataset][label], dataset=dataset))
    samples, its_own = _fitting(shipped.graph, shipped.samples, own.samples)
    chips = {label: own.chip}
    if label == _ANN:
        formal = [_FORMAL[own.chip.name]] if own.chip.name in _FORMAL else []
        chips = {f"{label} on {name}": load_chip(name) for name in arrays or (*ANN_CHIPS, *formal)}
    return [Contender(name, shipped.graph, samples, chip, shipped.training, its_own) for name, chip in chips.items()]


def _fitting(graph: Graph, its_own: Samples | None, samples: Samples) -> tuple[Samples, bool]:
    """What a baseline is fed: `samples`, or, where these are frames and it takes another number of them, its own.

    Raises: UserError where it has none.
    """
    frames = samples.x.ndim == len(graph.signals[graph.input.name].shape) + 2
    if not frames or samples.x.shape[1] == graph.steps:
        return samples, False
    if its_own is None:
        raise UserError(
            f"it takes T={graph.steps} frames, the samples have {samples.x.shape[1]}, and it holds none of its own: "
            "export it with --calibration X.npz, of the same recordings"
        )
    return its_own, True
