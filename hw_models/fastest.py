"""The placement, of those that can be had, in which one inference follows the other soonest by detailed timing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snn2chip.hw_models import pricing
from snn2chip.hw_models.actions import TRAVEL
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.arrangement import optimised
from snn2chip.hw_models.detailed import timing
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import Placement


@dataclass(frozen=True)
class _Candidate:
    model: Neurocores
    interval: float
    joules: float

    @property
    def said(self) -> str:
        return f"{self.model.placement.arrangement}: {self.interval:.6g} cycles and {1e9 * self.joules:.4g} nJ"


def fastest(placement: Placement, activity: Activity, events: Events) -> Placement:
    """`placement` (the default one) or the optimised one, whichever has the shorter interval between inferences.

    Where both are as fast, the optimised one. `Placement.compared` says what was compared. Fewer links need not be
    faster: a message that waits for a busy core holds up those behind it on the same links.
    """
    measured = {name: tally.events for name, tally in activity.tallies.items()}
    found = [_candidate(each, activity, events) for each in (optimised(placement, measured), placement)]
    best = min(found, key=lambda candidate: candidate.interval)
    said = "; ".join(candidate.said for candidate in found)
    return replace(
        best.model.placement,
        compared=f"Of two placements the one with the shorter interval between inferences was taken, "
        f"{best.model.placement.arrangement} (interval, and energy of hops and crossings, of each: {said}).",
    )


def _candidate(placement: Placement, activity: Activity, events: Events) -> _Candidate:
    model = Neurocores(placement.network, placement.chip, placement)
    interval = timing.report(timing.time(model, events), model.latency(activity)).interval_cycles
    rows = (row for layer in model.layers(activity) for row in layer.actions if row.action in TRAVEL)
    return _Candidate(model, interval, pricing.energy(rows).nominal)
