"""The interpreter is held to the oracle, on drawn networks."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from snn2chip.graph import Kind
from snn2chip.ops import LIF, Add, Conv2d, Linear, Readout, SpikingNeuron
from tests.differential.comparison import assert_meaning, meaning
from tests.differential.strategies import Case, cases

DRAWS = 700


@settings(max_examples=DRAWS)
@given(cases())
def test_interpreter_equals_oracle(case: Case) -> None:
    assert_meaning(case)


def test_the_draws_cover_what_they_should() -> None:
    """The strategy still draws every feature, and most neuron layers are neither silent nor saturated."""
    seen: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(cases())
    def draw(case: Case) -> None:
        seen.update(_features(case))

    draw()
    rare = {feature: seen[feature] for feature in FEATURES if seen[feature] < 5}
    assert not rare, f"drawn less than five times: {rare}"
    assert seen["active neurons"] > seen["neurons"] / 3


FEATURES = (
    *("Conv2d", "Linear", "SumPool2d", "Upsample2d", "sum of spikes", "sum of currents", "barrier"),
    *("MultiLevelIF", "LIF", "LeakyIntegrator", "MaxPool2d", "Concat", "leak", "no leak", "drive"),
    *("subtract at once", "zero at once", "none at once", "subtract delayed", "zero delayed", "none delayed"),
    *("logits of Linear", "logits of LIF", "logits of MultiLevelIF", "logits of LeakyIntegrator"),
    *("grouped", "strided", "padded", "dilated", "non-square", "binary", "multi-level", "255 levels"),
    *("one step", "many steps", "frames", "image", "active neurons", "above 8 bits"),
)


def _features(case: Case) -> list[str]:
    signals, tensors = case.graph.signals, meaning(case).tensors
    found = ["one step" if case.graph.steps == 1 else "many steps"]
    found.append("image" if case.inputs.shape[1:] == signals[case.graph.input.name].shape else "frames")
    for node in case.graph.nodes:
        found.append(node.kind)
        spikes = node.inputs and signals[node.inputs[0]].kind is Kind.SPIKE
        if isinstance(node.op, (Conv2d, Linear)):
            found += ["above 8 bits"] * (signals[node.inputs[0]].interval.max > 255)
        if isinstance(node.op, Conv2d):
            found += _geometry(node.op)
        if isinstance(node.op, Add):
            found.append("sum of spikes" if spikes else "sum of currents")
        if isinstance(node.op, Readout):
            found.append(f"logits of {case.graph[node.inputs[0]].kind}")
        if isinstance(node.op, LIF):
            found += ["leak" if node.op.leaks else "no leak", *["drive"] * (node.op.drive is not None)]
            found.append(f"{node.op.reset} {'delayed' if node.op.delayed else 'at once'}")
        if isinstance(node.op, SpikingNeuron):
            found += ["neurons", *["barrier"] * bool(spikes)]
            found.append({1: "binary", 255: "255 levels"}.get(node.op.levels, "multi-level"))
            found += ["active neurons"] * (len(set(tensors[node.name].ravel().tolist())) > 1)
    return found


def _geometry(op: Conv2d) -> list[str]:
    facts = {
        "grouped": op.groups > 1,
        "strided": op.stride != (1, 1),
        "padded": op.padding != (0, 0),
        "dilated": op.dilation != (1, 1),
        "non-square": op.kernel[0] != op.kernel[1],
    }
    return [fact for fact, holds in facts.items() if holds]
