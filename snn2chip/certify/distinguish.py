"""A search for inputs on which two networks of one input and output give different logits."""

from __future__ import annotations

import numpy as np

from snn2chip.certify.forms import reference
from snn2chip.certify.search import BATCH, EVALUATIONS, KEPT, LARGEST_WORK, changed
from snn2chip.graph import Array, Graph
from snn2chip.ops import Input


def distinguish(first: Graph, second: Graph, starts: Array, work: int) -> tuple[Array, int]:
    """Inputs whose summed logits differ, uint8 ``[B, ...]``, B <= `BATCH`, none where none was found; and the tries.

    Random changes climb from the inputs whose difference comes nearest to the output: the deepest layer of one name
    and shape that differs, then the number of values that differ in it. The seed is fixed and the effort is counted.
    Args: starts, inputs that both networks take; work, what one input costs in both (`snn2chip.certify.inputs.work`).
    """
    op = first.input.op
    assert isinstance(op, Input)
    rng, tries = np.random.default_rng(0), min(EVALUATIONS, LARGEST_WORK // work)
    inputs = starts[: max(1, min(len(starts), tries))]
    _, nearness = _compared(first, second, inputs)
    size, done = min(BATCH, tries), 0
    while size and done + size <= tries:
        parents = inputs[rng.integers(len(inputs), size=(size, 2))]
        children = np.stack([changed(rng, parent, other, op.largest) for parent, other in parents])
        differs, near = _compared(first, second, children)
        done += size
        if differs.any():
            return children[differs], done
        inputs, nearness = np.concatenate([children, inputs]), np.concatenate([near, nearness])
        best = np.argsort(-nearness, kind="stable")[:KEPT]  # of equals the newer: the search wanders on a plateau
        inputs, nearness = inputs[best], nearness[best]
    return starts[:0], done


def _compared(first: Graph, second: Graph, inputs: Array) -> tuple[Array, Array]:
    """For each input: whether the summed logits differ, and how near to them a difference came (0: there is none)."""
    one, other = reference(first, inputs), reference(second, inputs)
    nearness = np.zeros(len(inputs))
    for depth, (name, tensor) in enumerate(one.items(), 1):
        if name in other and other[name].shape == tensor.shape:
            unequal = (tensor != other[name]).reshape(len(inputs), -1).mean(axis=1)
            nearness = np.where(unequal > 0, depth + unequal / 2, nearness)
    sums = (
        tensors[graph.output.name].sum(axis=1, dtype=np.int64) for tensors, graph in ((one, first), (other, second))
    )
    ours, theirs = sums
    return (ours != theirs).any(axis=1), nearness
