"""Memories whose price depends on their size: what the formula and array models share."""

from __future__ import annotations

from dataclasses import dataclass

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.quantity import Table
from snn2chip.hw_models.results import ActionRow, MemoryRow, Range


@dataclass(frozen=True)
class Memory:
    """One memory.

    Attributes:
        name: such as ``weight``.
        word_bits: width of one word.
        capacity_bits: its size, which sets the price.
    """

    name: str
    word_bits: int
    capacity_bits: float


@dataclass(frozen=True)
class Accesses:
    """Reads and writes of one memory, per inference.

    `growing` is the share of them that grows with the events of the network's layers; None where nobody tells it apart.
    """

    memory: Memory
    reads: float = 0.0
    writes: float = 0.0
    growing: float | None = None

    def row(self, chip: Chip, layer: str) -> MemoryRow:
        """The accesses, at the chip's price of ``sram_access``."""
        energy = access_energy(chip, layer, self.memory).times(self.reads + self.writes)
        name, bits = self.memory.name, self.memory.word_bits
        return MemoryRow(name, bits, self.reads, self.writes, energy, self._growing(energy))

    def priced(self, chip: Chip, layer: str) -> list[ActionRow]:
        """Rows such as ``weight_read``, at the chip's price of ``sram_access``."""
        kinds = [("read", self.reads), ("write", self.writes)]
        price = access_energy(chip, layer, self.memory)
        return [
            ActionRow(f"{self.memory.name}_{kind}", count, spent, growing=self._growing(spent))
            for kind, count in kinds
            if count > 0
            for spent in [price.times(count)]
        ]

    def _growing(self, energy: Range) -> Range | None:
        return None if self.growing is None else energy.times(self.growing)


def table(chip: Chip, action: str, layer: str) -> Table:
    """The table that prices `action`. Raises UserError where the chip file gives none."""
    found = chip.price(action, layer).table
    if found is None:
        raise UserError(f"chip file {chip.path}: [prices] {action} must be a table of points, and it is none")
    return found


def access_energy(chip: Chip, layer: str, memory: Memory) -> Range:
    """Joules of reading or writing one word.

    The table prices a whole access to a memory of that size; ``words.access`` says how many bits one access is taken to
    move, so that a word pays for its share of it, and never for more than one access. A range of widths is a range of
    energies: the wider the access, the smaller the share.
    """
    whole = table(chip, "sram_access", layer).at(memory.capacity_bits)
    chip.number("words.access")
    width = chip.numbers["words.access"].range
    low, nominal, high = (min(1.0, memory.word_bits / bits) for bits in (width.high, width.nominal, width.low))
    return Range(whole * low, whole * nominal, whole * high)


def arithmetic(
    chip: Chip, layer: str, action: str, count: float, bits: int, growing: float | None = None
) -> list[ActionRow]:
    """A row for `count` operations on `bits` wide operands (no row for none); `growing` of them, as in `Accesses`."""
    if count <= 0:
        return []
    price = table(chip, action, layer).at(bits)
    each = Range(price, price, price)
    return [ActionRow(action, count, each.times(count), growing=None if growing is None else each.times(growing))]
