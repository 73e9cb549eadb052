"""The networks that a multi-level network is fairly compared with: same widths and depth, other neurons or blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from snn2chip.errors import UserError
from snn2chip.nn.networks import Block
from snn2chip.nn.neuron_factory import NeuronOptions

_WIDEST_QUANTIZER = 8


def fair_set(arch_kwargs: Mapping[str, Any], arch: str = "resnet") -> dict[str, dict[str, Any]]:
    """A multi-level network (N levels, T steps) and what it is compared with, each as label and ``arch_kwargs``.

    The network itself comes first, then: binary at N * T steps and at T steps; the quantized ANN with as many levels
    as N * T + 1 take, rounded up to bits; and, of residual networks, the other blocks with the same neuron, and the
    barrier with the surrogate backward instead of the straight-through one.  A network that is one of these already
    occurs once.  Of a binary network there is nothing to derive: it is a baseline itself.

    Labels: ``sparse-n4-t1``, ``binary-t4``, ``binary-t1``, ``qann-3bit``, ``sew-n4-t1``, ``spiking-n4-t1``,
    ``ms-n4-t1``, ``barrier-surrogate-n4-t1``.

    Raises:
        UserError: a network that is no multi-level one, or with more levels than a quantized ANN of 8 bits has.
    """
    residual = arch.startswith("resnet")
    defaults = {"levels": NeuronOptions.levels, "steps": NeuronOptions.steps}
    kwargs = {**({"block": "sparse"} if residual else {}), **defaults, **arch_kwargs}
    if kwargs.get("neuron", NeuronOptions.neuron) != NeuronOptions.neuron:
        raise UserError(f"A fair set is derived from a multi-level network, not from neuron={kwargs['neuron']!r}.")
    if kwargs["levels"] == 1:
        raise UserError("A fair set is derived from a multi-level network, not from one of a single level.")
    networks = {_label(kwargs, arch): kwargs}
    for candidate in [*_other_neurons(kwargs), *(_other_blocks(kwargs) if residual else ())]:
        if candidate not in networks.values():
            networks[_label(candidate, arch)] = candidate
    return networks


def _other_neurons(kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    total = kwargs["levels"] * kwargs["steps"]
    yield {**kwargs, "levels": 1, "steps": total}
    yield {**kwargs, "levels": 1}
    bits = total.bit_length()
    if bits > _WIDEST_QUANTIZER:
        raise UserError(f"N * T = {total} needs a quantized ANN of {bits} bits, but {_WIDEST_QUANTIZER} are the most.")
    shape = {key: value for key, value in kwargs.items() if key != "levels"}
    yield {**shape, "neuron": "quantized_relu", "bits": bits, "steps": 1}


def _other_blocks(kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {key: value for key, value in kwargs.items() if key != "barrier_backward"}
    for block in get_args(Block):
        yield {**plain, "block": block}
    yield {**plain, "block": "sparse", "barrier_backward": "surrogate"}


def _label(kwargs: Mapping[str, Any], arch: str) -> str:
    """What sets a network of the fair set apart from the others."""
    if kwargs.get("neuron") == "quantized_relu":
        return f"qann-{kwargs['bits']}bit"
    family = kwargs.get("block", arch)
    barrier = kwargs.get("barrier_backward", NeuronOptions.barrier_backward)
    if family == "sparse" and barrier != NeuronOptions.barrier_backward:
        family = f"barrier-{barrier.replace('_', '-')}"
    return f"binary-t{kwargs['steps']}" if kwargs["levels"] == 1 else f"{family}-n{kwargs['levels']}-t{kwargs['steps']}"
