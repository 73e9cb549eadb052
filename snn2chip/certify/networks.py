"""Two artifacts against one another: are they one network, where do they differ, and does it show?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snn2chip import artifact
from snn2chip.artifact import Artifact
from snn2chip.certify.certificate import Divergence
from snn2chip.certify.compare import first_divergence
from snn2chip.certify.distinguish import distinguish
from snn2chip.certify.forms import reference
from snn2chip.certify.inputs import Inputs, arranged, gather, work
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph, Node, attributes, parameters

FORMAT = "snn2chip-difference-2"
#: So many inputs are compared, each set in turn.
COMPARED_INPUTS = 128


@dataclass(frozen=True)
class Difference:
    """What became of comparing two artifacts' integer networks.

    Attributes:
        folders: the two artifacts.
        first, second: their graphs' digests.
        what: the first node or parameter that differs, in one sentence; None where the networks are the same.
        beside: what differs beside the networks, in sentences: class names, the input's scale, the samples.
        inputs: how many inputs of each set both networks were run on; none where their inputs differ.
        layers: how many layers of both were compared value by value: those of one name and shape, and the output.
        outputs_differ: on how many of these inputs the summed logits differ; None where they cannot be compared.
        classes_differ: on how many of them the largest logit is another one.
        divergence: the first value that differs in these layers; expected is the first network's, got the second's.
        searched: how many more inputs were tried because the logits were equal on all of these.
        differing: inputs on which the summed logits differ, uint8 ``[B, ...]``: of those that were compared, or found.
        note: why outputs could not be compared, or an empty string.
    """

    folders: tuple[str, str]
    first: str
    second: str
    what: str | None
    beside: tuple[str, ...] = ()
    inputs: Mapping[str, int] | None = None
    layers: int = 0
    outputs_differ: int | None = None
    classes_differ: int | None = None
    divergence: Divergence | None = None
    searched: int = 0
    differing: Array | None = None
    note: str = ""

    @property
    def same(self) -> bool:
        return self.what is None

    def to_json(self) -> dict[str, Any]:
        """As ``docs/artifact-format.md`` says; of the inputs that differ, their number."""
        found = asdict(self) | {"differing": 0 if self.differing is None else len(self.differing)}
        return {"format": FORMAT, "same": self.same, **found}


def difference(first: Artifact, second: Artifact, report: Callable[[str], None] = lambda line: None) -> Difference:
    """Compare the integer networks of two artifacts: by their parts, and by what they compute.

    Both run the first's samples, extremes, and what either's search found. Where the logits are equal on all of them,
    inputs are searched on which they are not.
    """
    known: dict[str, Any] = {
        "folders": (str(first.folder), str(second.folder)),
        "first": first.graph.digest,
        "second": second.graph.digest,
        "what": first_difference(first.graph, second.graph),
        "beside": tuple(_beside(first, second)),
    }
    if known["what"] is None:
        return Difference(**known)
    report("comparing what both compute")
    inputs = _inputs(first, second).beginning(COMPARED_INPUTS)
    try:
        got = reference(second.graph, inputs.array)
    except UserError as error:
        return Difference(**known, note=f"the second network does not take the first one's inputs: {error}")
    expected = reference(first.graph, inputs.array)
    one, other = expected[first.graph.output.name], got.pop(second.graph.output.name)
    common = {name: got[name] for name, tensor in expected.items() if name in got and got[name].shape == tensor.shape}
    if one.shape == other.shape:
        common[first.graph.output.name] = other
    known |= {
        "inputs": inputs.counts(len(inputs)),
        "layers": len(common),
        "divergence": first_divergence({name: expected[name] for name in common}, common, inputs.origins),
    }
    if one.shape[2:] != other.shape[2:]:
        return Difference(**known, note="their outputs have different shapes")
    sums = [logits.sum(axis=1, dtype=np.int64) for logits in (one, other)]
    unequal, classes = (sums[0] != sums[1]).any(axis=1), [logits.argmax(axis=1) for logits in sums]
    known |= {"outputs_differ": int(unequal.sum()), "classes_differ": int(np.count_nonzero(classes[0] != classes[1]))}
    differing, searched = inputs.array[unequal], 0
    if not unequal.any():
        report("searching inputs on which the logits differ")
        cost = work(first.graph) + work(second.graph)
        differing, searched = distinguish(first.graph, second.graph, inputs.array, cost)
    return Difference(**known, searched=searched, differing=differing)


def _inputs(first: Artifact, second: Artifact) -> Inputs:
    """The first one's inputs, and what the second's search found where the first takes it."""
    given = gather(first.graph, first.folder, first.samples)
    stored = second.folder / artifact.SEARCH
    found = artifact.read_samples(stored).x if stored.exists() else given.array[:0]
    largest = first.graph.signals[first.graph.input.name].interval.max
    if not len(found) or found.shape[1:] != given.array.shape[1:] or found.dtype != np.uint8 or found.max() > largest:
        return given
    return arranged([*given.sets, ("search of the second", found)])


def _beside(first: Artifact, second: Artifact) -> Iterator[str]:
    one, other = first.description, second.description
    if one.class_names != other.class_names:
        yield "the class names differ"
    if one.preprocessing.get("scale") != other.preprocessing.get("scale"):
        scales = f"{one.preprocessing.get('scale')} in the first and {other.preprocessing.get('scale')} in the second"
        yield f"the real input of one count is {scales}"
    if (first.samples is None) != (second.samples is None):
        yield f"the {'second' if first.samples is None else 'first'} alone has samples"


def first_difference(first: Graph, second: Graph) -> str | None:
    """The first thing that differs between two networks, node by node; None where their digests are the same."""
    if first.digest == second.digest:
        return None
    if first.steps != second.steps:
        return f"T is {first.steps} in the first and {second.steps} in the second"
    for one, other in zip(first.nodes, second.nodes, strict=False):
        if found := next(_differences(one, other), None):
            return found
    longer = first if len(first.nodes) > len(second.nodes) else second
    extra = longer.nodes[min(len(first.nodes), len(second.nodes))]
    which = "first" if longer is first else "second"
    return f"node {extra.name!r} ({extra.kind}) is in the {which} alone"


def _differences(one: Node, other: Node) -> Iterator[str]:
    if one.name != other.name or one.kind != other.kind:
        yield f"node {one.name!r} ({one.kind}) stands where the second has {other.name!r} ({other.kind})"
    if one.inputs != other.inputs:
        ours, theirs = ", ".join(one.inputs), ", ".join(other.inputs)
        yield f"node {one.name!r} reads {ours} in the first and {theirs} in the second"
    yield from _attribute_differences(one, other)
    yield from _array_differences(one.name, parameters(one.op), parameters(other.op))


def _attribute_differences(one: Node, other: Node) -> Iterator[str]:
    ours, theirs = attributes(one.op), attributes(other.op)
    for name, value in ours.items():
        if value != theirs.get(name):
            yield f"node {one.name!r}: {name} is {value} in the first and {theirs.get(name)} in the second"


def _array_differences(node: str, ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[str]:
    for name in sorted(set(ours) ^ set(theirs)):
        yield f"node {node!r}: the {'second' if name in ours else 'first'} has no {name}"
    for name in sorted(set(ours) & set(theirs)):
        one, other = ours[name], theirs[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            types = f"{one.dtype} {one.shape} in the first and {other.dtype} {other.shape} in the second"
            yield f"node {node!r}: {name} is {types}"
        elif (differs := one != other).any():
            place = tuple(int(axis[0]) for axis in np.nonzero(differs))
            values = f"{one[place]} in the first and {other[place]} in the second"
            count = f"{np.count_nonzero(differs)} of {one.size} differ"
            yield f"node {node!r}: {name}{list(place)} is {values} ({count})"
