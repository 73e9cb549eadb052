"""The points of a design space: what is chosen, and what each is computed from."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import snn2chip
from snn2chip import files
from snn2chip.errors import UserError
from snn2chip.sweep import networks
from snn2chip.sweep.networks import Network, Source
from snn2chip.sweep.variants import Variant

#: Weight bits of networks that are not quantized yet, where none are asked for.
DEFAULT_BITS = (8,)


@dataclass(frozen=True)
class Point:
    """One network at one precision on one chip, and where all of it is read.

    Attributes:
        network, block, levels, steps, bits, chip, settings: what a table shows. ``bits`` is None for a network whose
            file is quantized already; ``settings`` are the numbers of the chip that ``--set`` changed.
        source, chip_file: where to read network and chip.
        identity: digests of everything that decides the result. Paths and names have no part in it.
    """

    network: str
    block: str | None
    levels: int
    steps: int
    bits: int | None
    chip: str
    settings: Mapping[str, str]
    source: Source
    chip_file: str
    identity: Mapping[str, Any] = field(compare=False)

    @cached_property
    def key(self) -> str:
        """Digest of the identity: the name of the result."""
        return hashlib.sha256(files.canonical_json(dict(self.identity)).encode()).hexdigest()

    @property
    def label(self) -> str:
        """For people: ``sparse-n4-t1-seed0, 4 bit, on loihi2 (limits.neurons_per_core=512)``."""
        bits = "" if self.bits is None else f", {self.bits} bit"
        settings = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.network}{bits}, on {self.chip}" + (f" ({settings})" if settings else "")


@dataclass(frozen=True)
class Choice:
    """Which networks take part: None takes all. ``levels`` are N, ``steps`` T."""

    levels: Sequence[int] | None = None
    steps: Sequence[int] | None = None
    blocks: Sequence[str] | None = None


def plan(
    sources: Iterable[Source], choice: Choice, bits: Sequence[int] | None, variants: Sequence[Variant]
) -> tuple[Point, ...]:
    """Every chosen network at every precision on every chip; points of one network follow one another.

    Raises: UserError where a file cannot be read, a value of `choice` fits no network, or two points are the same.
    """
    found = [(source, networks.read(source)) for source in sources]
    _check_choice(choice, [network for _, network in found])
    chosen = [(source, network) for source, network in found if _takes(choice, network)]
    if not chosen:
        raise UserError("no network is left: --N, --T and --block together exclude all of them")
    _check_names([network.name for _, network in chosen])
    return tuple(
        _point(source, network, precision, variant)
        for source, network in chosen
        for precision, variant in itertools.product(_precisions(source, network, bits), variants)
    )


def _point(source: Source, network: Network, bits: int | None, variant: Variant) -> Point:
    identity = {"version": snn2chip.__version__, **network.identity, "bits": bits, "chip": variant.digest}
    return Point(
        network.name,
        network.block,
        network.levels,
        network.steps,
        bits,
        variant.chip,
        variant.settings,
        source,
        variant.file,
        identity,
    )


def _precisions(source: Source, network: Network, bits: Sequence[int] | None) -> Sequence[int | None]:
    if not network.integer:
        return tuple(dict.fromkeys(bits or DEFAULT_BITS))
    if bits is not None:
        raise UserError(f"{source.path}: it is quantized already: leave out --bits, or give the float model")
    return (None,)


def _takes(choice: Choice, network: Network) -> bool:
    return (
        (choice.levels is None or network.levels in choice.levels)
        and (choice.steps is None or network.steps in choice.steps)
        and (choice.blocks is None or network.block in choice.blocks)
    )


def _check_choice(choice: Choice, found: Sequence[Network]) -> None:
    """A value that no checkpoint has would leave a hole in the space without a word."""
    for option, asked, had in (
        ("--N", choice.levels, {network.levels for network in found}),
        ("--T", choice.steps, {network.steps for network in found}),
        ("--block", choice.blocks, {network.block for network in found if network.block}),
    ):
        if missing := [value for value in asked or () if value not in had]:
            known = ", ".join(map(str, sorted(had, key=str))) or "none"
            raise UserError(f"{option} {missing[0]}: no network has that (there are {known}): train one and name it")


def _check_names(names: Sequence[str]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(
            f"two networks are called {twice[0]!r}: rename one of the files, so that tables tell them apart"
        )
