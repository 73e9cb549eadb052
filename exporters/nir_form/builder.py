"""Puts a NIR graph together: nodes, edges, names, and the proof that float32 computes it exactly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form.geometry import Map, Window, check_size, diagonal, square
from snn2chip.exporters.nir_form.profiles import MOST_TERMS
from snn2chip.graph import Array
from snn2chip.kernels import FLOAT32_EXACT

#: Key of the JSON string in every node's metadata.
METADATA_KEY = "snn2chip"
#: More edges are not written: NIRTorch looks for loops in a time that grows with their cube (at 1000, ten seconds).
MOST_EDGES = 1000
#: Numbers in one file (1 GiB of float32).
MOST_NUMBERS = 2**28

_PLAIN = Window()

#: What the metadata say of a node.
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """What a node of ours is over there: the sum of NIR nodes' outputs, each so many times, all of shape (C, H, W).

    Flat tensors are kept as the map that they are a view of, channel first.
    """

    terms: Mapping[str, int]
    shape: Map


class Builder:
    """Nodes and edges in topological order. `largest` bounds the magnitude of every NIR node's output, per channel.

    `step` is the step whose copy of the network is being written, or None where one copy stands for all steps.
    """

    def __init__(self, most_terms: int = MOST_TERMS) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.largest: dict[str, Array] = {}
        self.most_terms = most_terms
        self.step: int | None = None
        self.numbers = 0

    def name(self, label: str) -> str:
        """A new name: readers sort nodes by name, so that a running number keeps the topological order.

        It also keeps names apart and clear of words that mean something to Python or torch; dots would be lost.
        """
        step = "" if self.step is None else f"t{self.step}_"
        return f"n{len(self.nodes):04d}_{step}" + re.sub(r"\W", "_", label, flags=re.ASCII)

    def input(self, shape: Map, largest: int) -> Value:
        self.nodes["input"] = nir.Input(input_type={"input": np.array(shape)})
        self.largest["input"] = np.full(shape[0], largest, np.int64)
        return Value({"input": 1}, shape)

    def output(self, source: Value) -> None:
        """Several edges into an Output are not summed by readers: one node gathers them first."""
        (name,) = self.gathered(source, "logits").terms
        self.nodes["output"] = nir.Output(output_type={"output": np.array(source.shape)})
        self.edges.append((name, "output"))

    def conv(
        self,
        label: str,
        source: Value,
        weight: Array,
        bias: Array | None = None,
        window: Window = _PLAIN,
        facts: Facts | None = None,
        bound: Array | None = None,
    ) -> Value:
        """A Conv2d with weight ``[O, C, Kh, Kw]`` and bias ``[O]``; `bound` where less than the sum of all is reached.

        Raises: GraphError where float32 could round, or NIR cannot hold the kernel.
        """
        squared = square(weight, window, source.shape[1:])
        if squared is None:
            raise GraphError(
                f"its {weight.shape[2]}x{weight.shape[3]} kernel cannot be padded to the square one that NIR needs "
                "without moving the map: use kernel sides that are both odd or both even"
            )
        terms = self._bare_terms(source, label)
        reach = self._reach(terms, weight, bias)
        outputs = window.outputs(source.shape[1:], weight.shape[2:])
        node = _conv(source.shape[1:], *squared, bias)
        largest = reach if bound is None else np.minimum(reach, bound)
        return self._place(label, node, terms, (weight.shape[0], *outputs), largest, facts or {})

    def fan_out(self, label: str, source: Value, copies: Array, bias: Array, facts: Facts) -> Value:
        """The 1x1 Conv2d in front of a layer of comparators: copies of every channel, each shifted by its own bias.

        Its sums need not be exact: each rounds once (all other addends are zero), and rounding keeps the order, so that
        none crosses the threshold 1, nor any other number that float32 holds.
        """
        terms = self._bare_terms(source, label)
        self._exact(self._arriving(terms, source.shape[0]))
        node = _conv(source.shape[1:], copies[:, :, None, None], _PLAIN, bias)
        shape = (copies.shape[0], *source.shape[1:])
        return self._place(label, node, terms, shape, np.full(copies.shape[0], FLOAT32_EXACT), facts)

    def elementwise(
        self, label: str, source: Value, make: Callable[[Array], Any], values: Array, largest: Array, facts: Facts
    ) -> Value:
        """A node of one neuron, threshold or factor for each position: `make` of `values`, spread over ``(C, H, W)``.

        `largest` bounds what it yields, per channel. Raises: GraphError where float32 could round what reaches it.
        """
        check_size(*source.shape)
        terms = self._bare_terms(source, label)
        self._exact(self._arriving(terms, source.shape[0]))
        spread = np.ones(source.shape, np.float32) * values.astype(np.float32)
        return self._place(label, make(spread), terms, source.shape, largest, facts)

    def feedback(self, label: str, source: Value, factor: Array, target: Value, facts: Facts) -> None:
        """An edge back into the one node of `target`, on which `source` arrives times `factor`, one step later.

        Raises: GraphError where float32 could round the sum that reaches `target`.
        """
        (name,) = target.terms
        largest = np.abs(factor.reshape(len(factor))) * self._arriving(list(source.terms), source.shape[0])
        (back,) = self.elementwise(label, source, _scale, factor.reshape(-1, 1, 1), largest, facts).terms
        self.edges.append((back, name))
        self._exact(self._arriving([term for term, end in self.edges if end == name], source.shape[0]))

    def _place(self, label: str, node: Any, terms: list[str], shape: Map, largest: Array, facts: Facts) -> Value:
        name = self.name(label)
        node.metadata = metadata(facts if self.step is None else {**facts, "step": self.step})
        self.nodes[name] = node
        self.edges += [(term, name) for term in terms]
        self.largest[name] = largest
        self.numbers += sum(np.size(field) for field in vars(node).values() if isinstance(field, np.ndarray))
        if self.numbers > MOST_NUMBERS:
            raise GraphError(f"with it the file would hold more than {MOST_NUMBERS} numbers: leave the NIR form out")
        if len(self.edges) > MOST_EDGES:
            raise GraphError(
                f"with it there are more than {MOST_EDGES} edges, which readers would take very long to open: use "
                "another profile, or fewer levels or steps"
            )
        return Value({name: 1}, shape)

    def sum(self, label: str, sources: list[Value]) -> Value:
        """A sum costs nothing: several edges into one node add up."""
        terms: Counter[str] = Counter()
        for source in sources:
            terms.update(source.terms)
        total = Value(dict(terms), sources[0].shape)
        return self.gathered(total, label) if len(terms) > self.most_terms else total

    def gathered(self, source: Value, label: str) -> Value:
        """`source` as the output of a single node."""
        if list(source.terms.values()) == [1]:
            return source
        return self.conv(f"{label}_sum", source, diagonal(source.shape[0], np.ones((1, 1))))

    def columns(self, source: Value, label: str) -> Value:
        """A flat tensor as a ``(F, 1, 1)`` map: a Conv2d over the whole map moves every position to its own channel."""
        features = int(np.prod(source.shape))
        if source.shape[1:] == (1, 1):
            return source
        check_size(features, features)
        one_hot = np.eye(features, dtype=np.float32).reshape(features, *source.shape)
        return self.conv(f"{label}_flat", source, one_hot)

    def _bare_terms(self, source: Value, label: str) -> list[str]:
        """The nodes to draw edges from; NIR forbids a second edge between two nodes, so that ``x + x`` takes a node."""
        return [
            term if count == 1 else self._repeated(term, count, source.shape, label)
            for term, count in source.terms.items()
        ]

    def _repeated(self, term: str, count: int, shape: Map, label: str) -> str:
        weight = diagonal(shape[0], np.full((1, 1), count))
        (name,) = self.conv(f"{label}_times{count}", Value({term: 1}, shape), weight).terms
        return name

    def _arriving(self, terms: list[str], channels: int) -> Array:
        return sum((self.largest[term] for term in terms), np.zeros(channels, np.int64))

    def _reach(self, terms: list[str], weight: Array, bias: Array | None) -> Array:
        """Bound of every partial sum, per output channel; GraphError where float32 could round one."""
        arriving = self._arriving(terms, weight.shape[1])
        magnitudes = np.abs(weight).sum(axis=(2, 3), dtype=np.float64)
        own = 0 if bias is None else np.abs(bias.astype(np.int64))
        reach: Array = (magnitudes @ arriving).astype(np.int64) + own
        self._exact(arriving)
        self._exact(reach)
        return reach

    @staticmethod
    def _exact(reach: Array) -> None:
        if (most := int(reach.max())) > FLOAT32_EXACT:
            raise GraphError(
                f"its partial sums may reach {most}, beyond the {FLOAT32_EXACT} up to which float32, in which NIR's "
                "readers compute, holds every integer: use fewer weight bits or fewer inputs"
            )


def _conv(size: tuple[int, int], weight: Array, window: Window, bias: Array | None) -> Any:
    return nir.Conv2d(
        input_shape=size,
        weight=np.ascontiguousarray(weight, np.float32),
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=1,
        bias=np.zeros(weight.shape[0], np.float32) if bias is None else bias.astype(np.float32),
    )


def _scale(factors: Array) -> Any:
    return nir.Scale(scale=factors)


def metadata(facts: Facts) -> dict[str, str]:
    """A hint for people and for tools that fold the levels back; the graph runs without it."""
    return {METADATA_KEY: json.dumps(facts, sort_keys=True)}


def read_facts(node: Any) -> dict[str, Any]:
    """What `metadata` wrote into a node or graph; empty where there is nothing of the kind."""
    facts: Any = json.loads(node.metadata.get(METADATA_KEY, "{}"))
    return facts if isinstance(facts, dict) else {}
