"""Every network from elsewhere that is looked at, and the verdicts that docs/third-party-networks.md shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.peers import (
    lava_dl_networks,
    nir_networks,
    norse_networks,
    sinabs_networks,
    snntorch_networks,
    spikingjelly_networks,
)
from tests.peers.network import Network
from tests.peers.verdict import Verdict, examine

#: What `python -m tests.peers.document` found last, by key; every test holds its network to it.
VERDICTS = Path(__file__).with_name("verdicts.json")


@dataclass(frozen=True)
class Entry:
    """One network: where it comes from, what it takes, and how its verdict is found (in a folder that it may use).

    A `large` one is examined when the document is written, and not by every test run.
    """

    package: str
    version: str
    name: str
    source: str
    takes: str
    examine: Callable[[Path], Verdict]
    large: bool = False

    @property
    def key(self) -> str:
        return f"{self.package}: {self.name}"


def _live(network: Network) -> Entry:
    takes = f"{'x'.join(map(str, network.input_shape))}, T = {network.steps}"
    version = metadata.version(network.package)
    return Entry(
        network.package, version, network.name, network.source, takes, partial(examine, network), network.large
    )


def _file(file: str) -> Entry:
    look, takes = partial(lava_dl_networks.examine, file), f"T = {lava_dl_networks.STEPS}"
    return Entry("lava-dl", lava_dl_networks.VERSION, Path(file).as_posix(), "as shipped", takes, look)


_LISTS = (spikingjelly_networks, snntorch_networks, sinabs_networks, norse_networks, nir_networks)
ENTRIES: tuple[Entry, ...] = (
    *(_live(network) for module in _LISTS for network in module.NETWORKS),
    *(_file(file) for file in lava_dl_networks.FILES),
)


def of(package: str, large: bool = False) -> tuple[Entry, ...]:
    return tuple(entry for entry in ENTRIES if entry.package == package and (large or not entry.large))


def documented() -> dict[str, dict[str, Any]]:
    """The verdicts by key, as they were written down: those of `Verdict`, with `version` and `date`."""
    found: dict[str, dict[str, Any]] = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return found
