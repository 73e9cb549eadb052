"""The search for the fewest cores that hold a population: cuts along channels, and along rows where that is coarser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from snn2chip.graph import Region, Shape
from snn2chip.hw_models.needs import Needs


@dataclass(frozen=True)
class Broken:
    """A limit that a layer exceeds however finely it is cut."""

    layer: str
    limit: str
    need: int
    have: int


@dataclass(frozen=True)
class _Cutting:
    """The search for the fewest cores that hold a population."""

    shape: Shape
    needs: Needs

    @property
    def rows(self) -> int:
        return self.shape[1] if len(self.shape) == 3 else 1

    def search(self, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        """The cut with the fewest parts, of equal ones the one with the fewest row cuts; None without any."""
        if whole := self._allowed(1, 1, limits):
            return whole
        best = self._allowed(self.shape[0], self.rows, limits)
        fewest = -(-self.needs.population.neurons // limits.get("neurons_per_core", self.needs.population.neurons))
        for rows in range(1, self.rows + 1):
            if best is None or len(best) <= max(rows, fewest):
                break
            best = self._fewest_channels(rows, range(-(-fewest // rows), (len(best) - 1) // rows + 1), limits) or best
        return best

    def _fewest_channels(self, rows: int, counts: range, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        """The coarsest cut with `rows` parts along the rows and one of `counts` along the channels, by bisection."""
        low, high = counts.start, min(counts.stop - 1, self.shape[0])
        found = self._allowed(high, rows, limits) if low <= high else None
        while found and low < high:
            middle = (low + high) // 2
            if allowed := self._allowed(middle, rows, limits):
                high, found = middle, allowed
            else:
                low = middle + 1
        return found

    def _allowed(self, channels: int, rows: int, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        grid = parts(self.shape[0], channels), parts(self.rows, rows)
        for limit, have in limits.items():  # cheap needs come first
            if self.needs.worst(limit, *grid) > have:
                return None
        return self.cut(channels, rows)

    def cut(self, channels: int, rows: int) -> tuple[Region, ...]:
        grid = parts(self.shape[0], channels), parts(self.rows, rows)
        return tuple(Region(by_channel, by_row) for by_channel in grid[0] for by_row in grid[1])

    def broken(self, limits: Mapping[str, int]) -> tuple[Broken, ...]:
        """The limits that even one channel of one row exceeds."""
        finest = parts(self.shape[0], self.shape[0]), parts(self.rows, self.rows)
        needed = {limit: self.needs.worst(limit, *finest) for limit in limits}
        name = self.needs.population.name
        return tuple(Broken(name, limit, needed[limit], have) for limit, have in limits.items() if needed[limit] > have)


def cut(needs: Needs, limits: Mapping[str, int]) -> tuple[tuple[Region, ...], tuple[Broken, ...]]:
    """The regions of a population, and the limits that had to be left out of account to find them."""
    cutting = _Cutting(needs.population.shape, needs)
    if regions := cutting.search(limits):
        return regions, ()
    broken = cutting.broken(limits)
    kept = {limit: have for limit, have in limits.items() if limit not in {found.limit for found in broken}}
    return cutting.search(kept) or cutting.cut(cutting.shape[0], cutting.rows), broken


def parts(size: int, count: int) -> list[range]:
    """0..size cut into nearly equal ranges."""
    bounds = [size * index // count for index in range(count + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]
