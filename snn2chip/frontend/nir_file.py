"""NIR files as float graphs: `read_nir`. What each primitive becomes stands in ``docs/nir.md``, "Reading NIR"."""

from __future__ import annotations

from pathlib import Path

import h5py

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.hdf5 import open_checked
from snn2chip.frontend.hdf5_record import check_features
from snn2chip.frontend.nir_document import COMMON, NirNode, read_nodes
from snn2chip.frontend.nir_fold import read_note
from snn2chip.frontend.nir_neurons import Context
from snn2chip.frontend.nir_rules import STATEFUL, apply
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Graph, check_size
from snn2chip.ops import Scale

#: Steps that a note in the file can ask for; more have to be asked for by hand (--steps), for they cost time.
_MOST_NOTED_STEPS = 1024


def read_nir(path: str | Path, options: ImportOptions) -> Graph:
    """The float graph of a NIR file (nir 1.0, HDF5).

    Of `options`, dt, steps, input_shape, largest and input_scale are used: NIR says neither how long a step is nor how
    many there are, nor what the input's numbers mean.

    Raises: UserError where the file cannot be read; GraphError naming the file and the node where something in it is
    not supported, or an option is missing.
    """
    with open_checked(path) as file:
        try:
            return _graph(file, options)
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from None
        except OSError as error:  # what HDF5 raises where the data themselves are damaged
            raise UserError(f"{path}: this HDF5 file is damaged ({error}): write it again") from None
        except MemoryError:
            raise UserError(f"{path}: it describes a network that needs more memory than there is") from None


def _graph(file: h5py.File, options: ImportOptions) -> Graph:
    root = file.get("node")
    if not isinstance(root, h5py.Group) or "nodes" not in root:
        raise GraphError("it is no NIR file: its group 'node' with the network is missing")
    first, *others = read_nodes(root)
    builder = Builder(_input_shape(first, options), options.largest)
    builder.steps = _steps(root, others, options)
    outputs = {first.path: builder.input(first.path)}
    if options.input_scale != 1:
        scale = Scale(options.input_scale)
        outputs[first.path] = builder.add(f"{first.path}.scale", scale, (outputs[first.path],))
    context = Context(builder, options.dt, others[-1].path)
    for node in others:
        outputs[node.path] = apply(context, node, outputs)
    return builder.graph()


def _input_shape(node: NirNode, options: ImportOptions) -> tuple[int, ...]:
    """``(C, H, W)`` or ``(F,)``: the option where it is given, for some tools write the batch into the file."""
    if options.input_shape is not None:
        return options.input_shape
    node.check_fields(COMMON | {"shape"})
    count = node.array("shape").size
    shape = node.integers("shape", count) if 1 <= count <= 4 else ()
    if len(shape) in (2, 4) and shape[0] == 1:  # norse's exporter keeps the batch axis
        shape = shape[1:]
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise node.refusal(
            f"has shape {node.array('shape').reshape(-1)[:8].tolist()}, which is neither (features,) nor (channels, "
            "height, width): give it (--input-shape)"
        )
    check_size(shape)
    check_features(shape[0])
    return shape


def _steps(root: h5py.Group, nodes: list[NirNode], options: ImportOptions) -> int:
    """T: the option, or what our own exporter noted; 1 where no node keeps anything for the next step."""
    noted = _noted_steps(root)
    if noted is not None and options.steps not in (None, noted):
        raise GraphError(f"it was written for T = {noted} and means nothing else at T = {options.steps} (--steps)")
    steps = options.steps or noted
    stateful = [node for node in nodes if node.kind in STATEFUL]
    if steps is None and stateful:
        raise GraphError(f"{stateful[0].label} works over time, but NIR does not say how many steps: give --steps")
    return steps or 1


def _noted_steps(root: h5py.Group) -> int | None:
    """T as `snn2chip.exporters.nir_form` notes it; an unrolled file is one step. None in files from elsewhere."""
    note = read_note(root)
    steps = 1 if note.get("profile") == "unrolled" else note.get("steps")
    return steps if type(steps) is int and 1 <= steps <= _MOST_NOTED_STEPS else None
