"""Two artifacts against one another: are they one network, where do they differ, and does it show?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snn2chip.artifact import Artifact
from snn2chip.certify.certificate import Divergence
from snn2chip.certify.compare import first_divergence
from snn2chip.certify.forms import reference
from snn2chip.certify.inputs import arranged, input_sets
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph, Node, attributes, parameters

FORMAT = "snn2chip-difference-1"
#: So many inputs are compared, each set in turn.
COMPARED_INPUTS = 128


@dataclass(frozen=True)
class Difference:
    """What became of comparing two artifacts.

    Attributes:
        first, second: their graphs' digests.
        what: the first node or parameter that differs, in one sentence; None where the networks are the same.
        inputs: how many inputs both networks were run on; 0 where their inputs differ.
        outputs_differ: on how many of these the summed logits differ; None where they cannot be compared.
        divergence: the first value that differs, among the layers that both have; expected is the first artifact's.
        note: why outputs could not be compared, or an empty string.
    """

    first: str
    second: str
    what: str | None
    inputs: int = 0
    outputs_differ: int | None = None
    divergence: Divergence | None = None
    note: str = ""

    @property
    def same(self) -> bool:
        return self.what is None

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "same": self.same, **asdict(self)}


def difference(first: Artifact, second: Artifact) -> Difference:
    """Compare the integer networks of two artifacts, by their parts and by what they compute on the first's inputs."""
    what = first_difference(first.graph, second.graph)
    if what is None:
        return Difference(first.graph.digest, second.graph.digest, None)
    inputs = arranged(input_sets(first.graph, first.samples))
    array, origins = inputs.array[:COMPARED_INPUTS], inputs.origins[:COMPARED_INPUTS]
    expected = reference(first.graph, array)
    digests = first.graph.digest, second.graph.digest
    try:
        got = reference(second.graph, array)
    except UserError as error:
        return Difference(*digests, what, note=f"the second network does not take the first one's inputs: {error}")
    common = {name: tensor for name, tensor in expected.items() if name in got and got[name].shape == tensor.shape}
    divergence = first_divergence(common, {name: got[name] for name in common}, origins)
    one, other = expected[first.graph.output.name], got[second.graph.output.name]
    if one.shape[2:] != other.shape[2:]:
        return Difference(*digests, what, len(array), None, divergence, "their outputs have different shapes")
    sums = (one.sum(axis=1, dtype=np.int64), other.sum(axis=1, dtype=np.int64))
    differ = int(np.count_nonzero((sums[0] != sums[1]).any(axis=1)))
    return Difference(*digests, what, len(array), differ, divergence)


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
