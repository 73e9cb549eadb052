"""How a neuron layer is written: the one thing in which the profiles of ``docs/nir.md`` differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import nir
import numpy as np

from snn2chip.graph import Array

#: What `snn2chip.interop.nirtorch`, snnTorch and (by default) SpikingJelly take for the length of a step, in seconds.
SECONDS = 1e-4
#: Levels that are nodes of their own: beyond these, *composed* stacks them into one node and *compact* refuses, for
#: readers look for loops in a time that grows with the square of the edges.
MOST_COMPOSED = 8
MOST_COMPACT = 32
MOST_UNROLLED_STEPS = 8
#: A sum of more terms is gathered into one node, so that the number of edges grows with the depth and not its square.
MOST_TERMS = 8

#: What a profile can do about what a neuron keeps for the next step: *one step* knows no next step, *reset* is NIR's
#: ``IF``, *feedback* an integrator with a loop around it, *edges* lead from each step's nodes to the next step's.
OverTime = Literal["one step", "reset", "feedback", "edges"]


@dataclass(frozen=True)
class Profile:
    """One way to write a network.

    Attributes:
        name: as in the metadata, and after ``nir-`` in the name of the form.
        comparator: thresholds (float32, of the whole layer's shape) to the node that says which inputs exceed them.
        over_time: see `OverTime`.
        most_parallel: up to so many levels, each is a node of its own; more are channels of one node.
        most_levels: the levels of a layer that can be written at all.
        most_terms: see `MOST_TERMS`.
        purpose: in a few words, for people.
    """

    name: str
    comparator: Callable[[Array], Any]
    over_time: OverTime
    purpose: str
    most_parallel: int = 0
    most_levels: int = 255
    most_terms: int = MOST_TERMS

    @property
    def memoryless(self) -> bool:
        """Whether its comparators compare afresh at every step."""
        return self.over_time in ("feedback", "edges")

    @property
    def file(self) -> str:
        """In the artifact, where the profile is asked for by name."""
        return f"model.{self.name}.nir"


def integrate_and_fire(threshold: Array) -> Any:
    """``v > threshold`` in the first step from v = 0; then v is 0 where it fired, and kept elsewhere."""
    return nir.IF(r=np.ones_like(threshold), v_threshold=threshold, v_reset=np.zeros_like(threshold))


def integrator(r: Array) -> Any:
    """``v = v + r * i``, which is what it emits."""
    return nir.I(r=r)


def _forgetting(threshold: Array) -> Any:
    """A leaky neuron whose time constant is a step: after a step of `SECONDS` nothing is left of what was before."""
    return nir.LIF(
        tau=np.full_like(threshold, SECONDS),
        r=np.ones_like(threshold),
        v_leak=np.zeros_like(threshold),
        v_threshold=threshold,
        v_reset=np.zeros_like(threshold),
    )


def _threshold(threshold: Array) -> Any:
    return nir.Threshold(threshold=threshold)


PORTABLE = Profile("portable", integrate_and_fire, "reset", "Conv2d and binary IF, for every reader")
COMPACT = Profile(
    "compact",
    integrate_and_fire,
    "one step",
    "one IF for each level and no artificial synapses, for counts and for maps onto chips",
    most_parallel=MOST_COMPACT,
    most_levels=MOST_COMPACT,
    most_terms=8 * MOST_COMPACT,
)
SNNTORCH = Profile("snntorch", _forgetting, "one step", "LIF instead of IF, for snnTorch as it comes")
COMPOSED = Profile(
    "composed",
    _threshold,
    "feedback",
    "integrator, thresholds and a loop that subtracts: the soft reset over several steps",
    most_parallel=MOST_COMPOSED,
    most_terms=8 * MOST_COMPOSED,
)
UNROLLED = Profile("unrolled", integrate_and_fire, "edges", "a copy of the network for each of a few steps")

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (PORTABLE, COMPACT, SNNTORCH, COMPOSED, UNROLLED)}
