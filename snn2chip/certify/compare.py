"""Tensors of a form against those of the interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snn2chip.certify.certificate import DIFFERENT, EXACT, NOT_SEEN, Divergence, LayerResult
from snn2chip.errors import CheckFailed
from snn2chip.exporters.base import Tensors
from snn2chip.graph import Array

#: (set, index in it) of every input of a batch.
Origins = Sequence[tuple[str, int]]


def first_divergence(expected: Mapping[str, Array], got: Tensors, origins: Origins | None = None) -> Divergence | None:
    """The first difference among the layers that `got` exposes, in the order of `expected`; None where all are equal.

    Args: origins, where each input comes from; without it they are called ``inputs``.
    Raises: CheckFailed where a tensor has another shape than it must have.
    """
    comparison = Comparison()
    comparison.add(expected, got, origins)
    return comparison.divergence


@dataclass
class Comparison:
    """One form's tensors, batch after batch, against the interpreter's."""

    rows: dict[str, LayerResult] = field(default_factory=dict)
    divergence: Divergence | None = None

    def add(self, expected: Mapping[str, Array], got: Tensors, origins: Origins | None = None) -> None:
        """Compare one batch. Raises: CheckFailed where a tensor has another shape than it must have."""
        places = {layer: place for place, layer in enumerate(expected)}
        for layer, wanted in expected.items():
            if layer not in got:
                self.rows.setdefault(layer, LayerResult(layer, NOT_SEEN))
                continue
            found = np.asarray(got[layer])
            if found.shape != wanted.shape:
                raise CheckFailed(f"layer {layer!r} has shape {found.shape} instead of {wanted.shape}")
            differs = found != wanted
            self._add_row(layer, wanted, differs)
            if not differs.any():
                continue
            first = _first(layer, wanted, found, differs, origins)
            known = self.divergence
            if known is None or (places[layer], first.step) < (places[known.layer], known.step):
                self.divergence = first
        if self.divergence is not None:
            self.divergence = replace(self.divergence, differing=self.rows[self.divergence.layer].differing)

    def _add_row(self, layer: str, wanted: Array, differs: Array) -> None:
        steps = np.flatnonzero(differs.any(axis=tuple(axis for axis in range(differs.ndim) if axis != 1)))
        known = self.rows.get(layer, LayerResult(layer, EXACT))
        firsts = [step for step in (known.first_step, *steps[:1].tolist()) if step is not None]
        differing = known.differing + int(np.count_nonzero(differs))
        status = DIFFERENT if differing else EXACT
        compared = known.compared + wanted.size
        self.rows[layer] = LayerResult(layer, status, wanted.shape[1], compared, differing, min(firsts, default=None))


def _first(layer: str, wanted: Array, found: Array, differs: Array, origins: Origins | None) -> Divergence:
    # Steps first, then samples: the earliest moment, not the first sample.
    step, sample, *index = (int(axis[0]) for axis in np.nonzero(differs.swapaxes(0, 1)))
    place = (sample, step, *index)
    name, number = origins[sample] if origins is not None else ("inputs", sample)
    return Divergence(layer, step, name, number, tuple(index), int(wanted[place]), int(found[place]), 0)
