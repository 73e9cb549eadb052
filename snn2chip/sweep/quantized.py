"""Networks of a sweep with weights of so many bits: quantized once, whoever needs them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import snn2chip
from snn2chip import files
from snn2chip.errors import UserError
from snn2chip.graph import Graph
from snn2chip.sweep.networks import Network
from snn2chip.sweep.store import Store

#: What a file with integers says of the float network's training; its accuracy was that of other weights.
_KEPT = ("dataset", "frames", "recipe", "seed", "epochs")


class Refused(UserError):
    """The network cannot be quantized so: a finding about the network, and no trouble with files."""


def integer(store: Store, network: Network, bits: int | None) -> Graph:
    """The integer graph of `network` with weights of `bits` bits, quantized as ``snn2chip quantize`` does.

    Quantized networks stay in the store, where every process finds them, and 'snn2chip export' takes them.

    Raises: Refused where it cannot be quantized; another UserError where the store cannot be written or is damaged.
    """
    if bits is None:
        return network.graph
    path = _path(store, network, bits)
    if not path.is_file():
        with store.claim(path):
            if not path.is_file():
                _write(path, network, bits)
    return _read(path)


def _path(store: Store, network: Network, bits: int) -> Path:
    decides = {"version": snn2chip.__version__, "bits": bits, **network.identity}
    decides.pop("samples")
    digest = hashlib.sha256(files.canonical_json(decides).encode()).hexdigest()
    return store.networks / f"{network.name}-int{bits}-{digest[:16]}.safetensors"


@lru_cache(maxsize=2)
def _read(path: Path) -> Graph:
    from snn2chip.quantize.quantized_file import read_quantized

    return read_quantized(path)


def _write(path: Path, network: Network, bits: int) -> None:
    from snn2chip.quantize.quantized_file import QuantizedModel, write_quantized

    metadata = {key: network.metadata[key] for key in _KEPT if key in network.metadata}
    try:
        graph = _quantized(network, bits)
    except UserError as error:
        raise Refused(str(error)) from None
    write_quantized(path, QuantizedModel(graph, network.class_names, metadata, {"bits": bits}))


def _quantized(network: Network, bits: int) -> Graph:
    from snn2chip.quantize import Precision
    from snn2chip.quantize.post_training import PostTraining, post_training

    if network.calibration is None:
        return post_training(network.graph, PostTraining(Precision(bits), scale="mse", corrections=()), None).graph
    return post_training(network.graph, PostTraining(Precision(bits)), network.calibration).graph
