"""The front is what the definition says, point by point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2chip.errors import UserError
from snn2chip.sweep.pareto import DEFAULT, OBJECTIVES, Objective, front, parse

#: Few different values, so that ties are common.
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
POINTS = st.lists(st.fixed_dictionaries(dict.fromkeys(OBJECTIVES, VALUES)), max_size=8)


def _better(one: dict[str, float], other: dict[str, float], objective: Objective) -> int:
    """1, 0, -1: better, as good, worse."""
    difference = one[objective.name] - other[objective.name]
    return (difference > 0) - (difference < 0) if objective.more else (difference < 0) - (difference > 0)


@given(POINTS, st.sampled_from([DEFAULT, ("energy", "accuracy"), ("latency", "interval", "total")]))
def test_a_point_is_on_the_front_unless_another_is_as_good_in_all_and_better_in_one(
    points: list[dict[str, float]], names: tuple[str, ...]
) -> None:
    objectives = parse(names)
    whole = [all(point[name] is not None for name in names) for point in points]
    expected = []
    for one, known in zip(points, whole, strict=True):
        beaten = False
        for other, comparable in zip(points, whole, strict=True):
            if known and comparable:
                compared = [_better(other, one, objective) for objective in objectives]
                beaten |= min(compared) >= 0 and max(compared) > 0
        expected.append(known and not beaten)
    assert front(points, objectives) == expected


def test_more_accuracy_is_better_and_less_energy_is() -> None:
    points: list[dict[str, float | None]] = [
        {"accuracy": 0.9, "energy": 1.0},
        {"accuracy": 0.8, "energy": 1.0},
        {"accuracy": 0.9, "energy": 2.0},
        {"accuracy": 0.95, "energy": 2.0},
        {"accuracy": 0.9, "energy": 1.0},
        {"accuracy": None, "energy": 0.1},
    ]
    assert front(points, parse(("accuracy", "energy"))) == [True, False, False, True, True, False]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("accuracy", "speed"), "--objectives speed: this is unknown: choose from accuracy, energy"),
        (("accuracy",), "--objectives accuracy: name at least two, each once"),
        (("energy", "energy"), "--objectives energy,energy: name at least two, each once"),
    ],
)
def test_objectives_that_say_nothing_are_refused(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(names)
