"""The networks of a sweep: read on any machine from one small description, quantized once per number of bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snn2chip import artifact, data, interpreter
from snn2chip.artifact import Samples
from snn2chip.errors import UserError, naming
from snn2chip.graph import Array, Graph
from snn2chip.ops import SpikingNeuron

if TYPE_CHECKING:
    from snn2chip.frontend import ImportOptions

_ANN = "qann"


@dataclass(frozen=True)
class Source:
    """Where a network and its inputs are read. Plain values, so that it can travel to other processes.

    Attributes:
        path: a model file, or the folder of an artifact.
        options: JSON of an `ImportOptions`: what the file does not say about itself.
        calibration: ``.npz`` to quantize on; None for the training part of the network's data set.
        inputs: ``.npz`` to count on; None for the network's own test samples.
        samples: at most so many of them; None for all.
    """

    path: str
    options: str = "{}"
    calibration: str | None = None
    inputs: str | None = None
    samples: int | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A network, its inputs, and what a sweep can choose by.

    Attributes:
        graph: an integer graph where `integer` is true, else a float graph, to be quantized.
        samples: what events are counted on.
        calibration: what is quantized on, uint8, or None.
        class_names, metadata: as its file gives them.
    """

    name: str
    graph: Graph
    integer: bool
    samples: Samples
    calibration: Array | None
    class_names: tuple[str, ...]
    metadata: Mapping[str, Any]

    @property
    def block(self) -> str | None:
        """Of a network of this project: sparse, sew, ms, spiking, vgg, ...; ``qann`` for a quantized ANN."""
        recipe = self.metadata.get("recipe")
        keywords = recipe.get("arch_kwargs") if isinstance(recipe, Mapping) else None
        if not isinstance(recipe, Mapping) or not isinstance(keywords, Mapping):
            return None
        if keywords.get("neuron") == "quantized_relu":
            return _ANN
        block = keywords.get("block", recipe.get("arch"))
        return block if isinstance(block, str) else None

    @property
    def steps(self) -> int:
        """T."""
        return self.graph.steps

    @property
    def levels(self) -> int:
        """The largest N; 0 where there are no neurons."""
        return max((node.op.levels for node in self.graph.nodes if isinstance(node.op, SpikingNeuron)), default=0)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Digests of all that decides what this network will cost, wherever its files lie."""
        units = [None if node.unit is None else np.asarray(node.unit, dtype=np.float64) for node in self.graph.nodes]
        return {
            "graph": self.graph.digest,
            "units": _digest(*units),
            "samples": _digest(self.samples.x, self.samples.y),
            "calibration": _digest(self.calibration),
        }


def options_text(options: ImportOptions) -> str:
    """`options` as a `Source` holds them."""
    return json.dumps(asdict(options), sort_keys=True)


@lru_cache(maxsize=4)
def read(source: Source) -> Network:
    """Read a network with its inputs. Raises: UserError naming the file and the mend."""
    if Path(source.path).is_dir():
        return _from_artifact(source)
    from snn2chip import frontend
    from snn2chip.quantize.calibration import calibration_data

    loaded = frontend.load(source.path, _options(source.options))
    given = artifact.read_samples(source.calibration) if source.calibration else None
    if loaded.integer and given is not None:
        raise UserError(f"{source.path}: it is quantized already: leave out --calibration, or give the float model")
    with naming(source.calibration or source.path):
        calibration = None if loaded.integer else calibration_data(loaded.graph, loaded.metadata, given).inputs
    known = data.shipped_test_part(loaded.metadata.get("dataset"), loaded.metadata.get("frames"))
    own = None if known is None else Samples(known.x, known.y)
    samples = _samples(source, loaded.graph, own)
    return Network(loaded.name, loaded.graph, loaded.integer, samples, calibration, loaded.class_names, loaded.metadata)


def _from_artifact(source: Source) -> Network:
    if source.calibration is not None:
        raise UserError(f"{source.path}: an artifact is quantized already: leave out --calibration")
    found = artifact.read(source.path)
    samples = _samples(source, found.graph, found.samples)
    said = found.description
    return Network(said.name, found.graph, True, samples, None, said.class_names, said.training)


def _samples(source: Source, graph: Graph, own: Samples | None) -> Samples:
    given = artifact.read_samples(source.inputs) if source.inputs else own
    if given is None:
        raise UserError(f"{source.path}: it comes with NO REAL INPUTS to count events on: give some with --input X.npz")
    with naming(source.inputs or source.path):
        interpreter.as_frames(graph, given.x)  # refuses what does not fit
        interpreter.check_classes(graph, given.y)
        if not len(given):
            raise UserError("there are no inputs: give at least one")
    return Samples(given.x[: source.samples], None if given.y is None else given.y[: source.samples])


def _options(text: str) -> ImportOptions:
    from snn2chip.frontend import ImportOptions

    values = json.loads(text)
    if (shape := values.get("input_shape")) is not None:
        values["input_shape"] = tuple(shape)
    return ImportOptions(**values)


def _digest(*arrays: Array | None) -> str:
    state = hashlib.sha256()
    for array in arrays:
        if array is None:
            state.update(b"none;")
            continue
        state.update(f"{array.dtype.str}{array.shape};".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()
