"""What the terminal and the page both show: operations, accesses by memory, notes, chips and their price kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.units import count


def notes_of(report: EnergyReport) -> tuple[str, ...]:
    """The notes of the networks, each once, in order, and saying whom they are about."""
    about: dict[str, list[NetworkReport]] = {}
    for network in report.networks:
        for note in network.notes:
            about.setdefault(note, []).append(network)
    return tuple(f"{_subject(report, networks)}: {note}" for note, networks in about.items())


def _subject(report: EnergyReport, networks: list[NetworkReport]) -> str:
    """The chips, where a note holds for all networks on them; else the networks."""
    chips = list(dict.fromkeys(network.chip.name for network in networks))
    there = [network for network in report.networks if network.chip.name in chips]
    return ", ".join(chips if len(there) == len(networks) else [network.label for network in networks])


def named(label: str, chip: str) -> str:
    """A network with its chip, unless its label says so already."""
    return label if chip in label else f"{label} on {chip}"


def multiplies_all(network: NetworkReport) -> bool:
    """Whether the chip is an array, which knows no events: what it multiplies has to be asked of its actions."""
    return network.chip.model == "array"


def operations(row: LayerRow, network: NetworkReport) -> float:
    """Synaptic operations of the row; on an array the products that it carries out."""
    if not multiplies_all(network):
        return row.synaptic_operations
    return sum(action.count for action in row.actions if action.action == "multiply")


def accesses(row: LayerRow) -> float:
    """Reads and writes of all memories, each in words of its own width."""
    return sum(memory.reads + memory.writes for memory in row.memories)


def memories_of(network: NetworkReport) -> dict[str, str]:
    """Every memory that a layer has, in order of appearance, with its word width: ``{"state": "4..24 bit"}``."""
    widths: dict[str, set[int]] = {}
    for memory in (item for row in network.layers for item in row.memories):
        widths.setdefault(memory.memory, set()).add(memory.word_bits)
    return {name: f"{'..'.join(map(str, sorted({min(bits), max(bits)})))} bit" for name, bits in widths.items()}


def accesses_by_memory(row: LayerRow, memories: Iterable[str]) -> list[str]:
    """``reads / writes`` for each memory; a dash where the layer does not touch it."""
    return [_reads_and_writes(row, memory) for memory in memories]


def _reads_and_writes(row: LayerRow, memory: str) -> str:
    found = [item for item in row.memories if item.memory == memory]
    reads, writes = sum(item.reads for item in found), sum(item.writes for item in found)
    return f"{count(reads)} / {count(writes)}" if reads or writes else "-"


def one_per_chip(report: EnergyReport) -> list[NetworkReport]:
    """The first network on each chip."""
    found: dict[str, NetworkReport] = {}
    for network in report.networks:
        found.setdefault(network.chip.digest, network)
    return list(found.values())


def kinds(network: NetworkReport) -> str:
    """How many of the chip's numbers were measured, published, simulated, derived or assumed."""
    stated = [number for number in network.chip.numbers if number.source and number.value != "absent"]
    found = Counter(number.kind for number in stated)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(found.items())) or "none"


def price_kinds(network: NetworkReport) -> str:
    """The chip, the kinds of its numbers, and which file it is."""
    chip = network.chip
    return f"{chip.name} ({chip.title}): {kinds(network)}; sha256 {chip.digest[:12]}."
