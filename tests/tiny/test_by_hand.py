"""Networks small enough to work out on paper: the oracle, the interpreter and the torch executor against paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from snn2chip import engine, interpreter, spec
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d, Upsample2d
from tests.differential.comparison import executed, meaning
from tests.differential.strategies import Case

Evaluate = Callable[[Case], dict[str, Array]]

EVALUATORS: dict[str, Evaluate] = {
    "oracle": lambda case: dict(meaning(case).tensors),
    "interpreter": lambda case: executed(interpreter.run, case),
    "engine": lambda case: executed(engine.run, case),
}


@pytest.fixture(params=EVALUATORS)
def evaluate(request: pytest.FixtureRequest) -> Evaluate:
    return EVALUATORS[request.param]


def _chain(steps: int, *ops: Op) -> Graph:
    names = [f"n{index}" for index in range(len(ops))]
    nodes = [Node(name, op, tuple(names[:index][-1:])) for index, (name, op) in enumerate(zip(names, ops, strict=True))]
    graph = Graph(tuple(nodes), steps)
    spec.check_integer(graph)
    return graph


def _linear(rows: list[list[int]], bias: list[int] | None = None) -> Linear:
    return Linear(frozen(rows, np.int8), None if bias is None else frozen(bias, np.int32))


def _neuron(theta: list[int], levels: int) -> MultiLevelIF:
    return MultiLevelIF(frozen(theta, np.int32), levels)


def _one_neuron(frames: list[int], theta: int, levels: int, bias: int, evaluate: Evaluate) -> list[int]:
    """Spikes of one neuron whose current at step t is frames[t] + bias."""
    graph = _chain(
        len(frames), Input((1,)), _linear([[1]], [bias]), _neuron([theta], levels), _linear([[1]]), Readout()
    )
    tensors = evaluate(Case(graph, np.array(frames, np.uint8).reshape(1, -1, 1)))
    spikes: list[int] = tensors["n2"].ravel().tolist()
    return spikes


def test_negative_potential_is_kept_and_counts_round_down(evaluate: Evaluate) -> None:
    # i = 3, -2, 7, -1 with theta 3: v = 3, -2, 5, 1 and u = 0, -2, 2, 1.
    assert _one_neuron([5, 0, 9, 1], theta=3, levels=2, bias=-2, evaluate=evaluate) == [1, 0, 1, 0]


def test_saturation_leaves_the_excess_in_the_membrane(evaluate: Evaluate) -> None:
    # v = 20, 14, 8, 2: at most 2 levels of 3 leave at each step.
    assert _one_neuron([20, 0, 0, 0], theta=3, levels=2, bias=0, evaluate=evaluate) == [2, 2, 2, 0]


def test_one_level_is_the_binary_neuron_with_soft_reset(evaluate: Evaluate) -> None:
    # v = 3, 6, 4, 7, 5: each spike takes 5 away.
    assert _one_neuron([3] * 5, theta=5, levels=1, bias=0, evaluate=evaluate) == [0, 1, 0, 1, 1]


def test_a_spike_needs_the_whole_level(evaluate: Evaluate) -> None:
    assert _one_neuron([6], theta=7, levels=4, bias=0, evaluate=evaluate) == [0]
    assert _one_neuron([7], theta=7, levels=4, bias=0, evaluate=evaluate) == [1]
    assert _one_neuron([27], theta=7, levels=4, bias=0, evaluate=evaluate) == [3]
    assert _one_neuron([28], theta=7, levels=4, bias=0, evaluate=evaluate) == [4]


def test_thresholds_belong_to_channels(evaluate: Evaluate) -> None:
    ops = Input((2, 1, 2)), _neuron([1, 4], 3), Flatten(), _linear([[1, 1, 1, 1]]), Readout()
    tensors = evaluate(Case(_chain(1, *ops), np.array([[[[2, 9]], [[5, 15]]]], np.uint8)))
    assert tensors["n1"][0, 0].tolist() == [[[2, 3]], [[1, 3]]]
    assert tensors["n4"][0, 0].tolist() == [9]


def test_convolution_is_a_correlation_with_a_zero_border(evaluate: Evaluate) -> None:
    weight = frozen([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], np.int8)
    conv = Conv2d(weight, frozen([10], np.int32), stride=(1, 2), padding=(1, 1))
    ops = Input((1, 2, 3)), conv, Flatten(), Readout()
    tensors = evaluate(Case(_chain(1, *ops), np.array([[[[1, 0, 2], [0, 3, 0]]]], np.uint8)))
    # Window centres (0,0), (0,2), (1,0), (1,2): 10 + 5*1 + 9*3;  10 + 5*2 + 7*3;  10 + 2*1 + 6*3;  10 + 2*2 + 4*3.
    assert tensors["n1"][0, 0].tolist() == [[[42, 41], [30, 26]]]


def test_dilated_taps_stand_apart(evaluate: Evaluate) -> None:
    conv = Conv2d(frozen([[[[1, 10]]]], np.int8), dilation=(1, 2))
    graph = _chain(1, Input((1, 1, 4)), conv, Flatten(), Readout())
    tensors = evaluate(Case(graph, np.array([[[[1, 2, 3, 4]]]], np.uint8)))
    assert tensors["n3"][0, 0].tolist() == [31, 42]


def test_groups_do_not_see_one_another(evaluate: Evaluate) -> None:
    # Four outputs in two groups of two inputs: outputs 0, 1 see channels 0, 1; outputs 2, 3 see channels 2, 3.
    weight = frozen([[[[1]], [[2]]], [[[3]], [[4]]], [[[5]], [[6]]], [[[7]], [[8]]]], np.int8)
    ops = Input((4, 1, 1)), Conv2d(weight, groups=2), Flatten(), Readout()
    tensors = evaluate(Case(_chain(1, *ops), np.array([1, 10, 100, 200], np.uint8).reshape(1, 4, 1, 1)))
    assert tensors["n3"][0, 0].tolist() == [21, 43, 1700, 2300]


def test_pool_and_upsample(evaluate: Evaluate) -> None:
    maps = Input((1, 1, 2)), Upsample2d((2, 1)), SumPool2d((2, 2), (1, 1), (0, 1))
    graph = _chain(1, *maps, Flatten(), _linear([[1, 0, 2]]), Readout())
    tensors = evaluate(Case(graph, np.array([[[[3, 5]]]], np.uint8)))
    assert tensors["n1"][0, 0].tolist() == [[[3, 5], [3, 5]]]
    assert tensors["n2"][0, 0].tolist() == [[[6, 16, 10]]]
    assert tensors["n5"][0, 0].tolist() == [26]


def test_logits_sum_over_the_steps_and_biases_are_added_at_each(evaluate: Evaluate) -> None:
    graph = _chain(3, Input((2,)), _linear([[1, -2], [0, 3]], [5, -5]), Readout())
    image = np.array([[4, 1]], np.uint8)
    per_step = evaluate(Case(graph, image))["n2"]
    assert per_step.tolist() == [[[7, -2]] * 3]
    assert interpreter.logits(graph, image).tolist() == [[21, -6]]
    assert meaning(Case(graph, image)).logits.tolist() == [[21, -6]]


def test_residual_sum_exceeds_the_levels_and_a_barrier_cuts_it(evaluate: Evaluate) -> None:
    nodes = (
        Node("x", Input((1,))),
        Node("spikes", _neuron([1], 3), ("x",)),
        Node("sum", Add(), ("spikes", "spikes")),
        Node("barrier", _neuron([1], 3), ("sum",)),
        Node("current", _linear([[1]]), ("barrier",)),
        Node("logits", Readout(), ("current",)),
    )
    graph = Graph(nodes, 2)
    spec.check_integer(graph)
    tensors = evaluate(Case(graph, np.array([[[2], [0]]], np.uint8)))
    # The sum is 4 and then 0; the barrier lets 3 pass and the one that was left at the second step.
    assert tensors["sum"].ravel().tolist() == [4, 0]
    assert tensors["barrier"].ravel().tolist() == [3, 1]
