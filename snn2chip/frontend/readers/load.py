"""`load`: a model file of any kind as a graph. The content of a file decides what it is, then its suffix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from snn2chip import files, spec
from snn2chip.errors import UserError
from snn2chip.files import check_regular
from snn2chip.frontend.options import ImportOptions
from snn2chip.frontend.readers import architecture, checkpoint, safetensors_file, state
from snn2chip.frontend.readers.archive import MOST_BYTES, open_archive
from snn2chip.frontend.readers.checkpoint import Checkpoint
from snn2chip.frontend.readers.loaded import Loaded
from snn2chip.frontend.readers.torch_file import ZIP_SIGNATURE, read_content
from snn2chip.graph import Graph

INTEGER_FORMAT = "snn2chip-integer-1"
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: What the command line calls the options.
_FLAGS = {
    "arch": "--arch",
    "arch_kwargs": "--arch-kw",
    "input_shape": "--input-shape",
    "largest": "--input-largest",
    "input_scale": "--input-scale",
    "steps": "--steps",
    "output": "--output-index",
    "dt": "--dt",
}
_MODULE = ("input_shape", "largest", "input_scale", "steps", "output")


def load(path: str | Path, options: ImportOptions | None = None) -> Loaded:
    """Read a model file: a checkpoint of ours, a state_dict, safetensors, ``.pt2``, ``.nir``, ``.net``, our ``.onnx``.

    Nothing in the file runs, unless `options.allow_pickle` is true and the file is a pickle.

    Args:
        path: of the file; ``docs/importing.md`` says what each format needs.
        options: what the file does not say about itself.
    Raises: UserError or GraphError, one sentence that names the file, the key or node in it and the mend.
    """
    path, options = Path(path), options or ImportOptions()
    check_regular(path, MOST_BYTES)
    with path.open("rb") as stream:
        signature = stream.read(16)
    if signature.startswith(_HDF5_SIGNATURE) or path.suffix in (".nir", ".net"):
        return _hdf5(path, options)
    if path.suffix == ".onnx":
        return _onnx(path, options)
    if path.suffix == ".safetensors" or signature[8:9] == b"{":
        return _safetensors(path, options)
    if signature.startswith(ZIP_SIGNATURE) and _is_program(path):
        return _program(path, options)
    return _pickled(path, options)


def _hdf5(path: Path, options: ImportOptions) -> Loaded:
    if path.suffix == ".nir":
        from snn2chip.frontend.nir_file import read_nir
        from snn2chip.frontend.nir_fold import read_own

        if own := read_own(path):
            _check_use(path, options)
            return Loaded(path, own.graph, integer=True, metadata=_source(path, form=own.form))
        _check_use(path, options, "input_shape", "largest", "input_scale", "steps", "dt")
        return Loaded(path, read_nir(path, options), metadata=_source(path))
    if path.suffix == ".net":
        from snn2chip.frontend.netx_file import read_netx

        _check_use(path, options, "input_shape", "largest", "input_scale", "steps")
        graph = read_netx(path, options)
        return Loaded(path, graph, integer=spec.broken_rule(graph) is None, metadata=_source(path))
    raise UserError(f"{path}: this is an HDF5 file: name it .nir (NIR) or .net (lava-dl netx), so that it says which")


def _onnx(path: Path, options: ImportOptions) -> Loaded:
    from snn2chip.frontend.onnx_file import read_onnx

    _check_use(path, options)
    graph, form = read_onnx(path)
    return Loaded(path, graph, integer=True, metadata=_source(path, form=form))


def _safetensors(path: Path, options: ImportOptions) -> Loaded:
    if safetensors_file.read_metadata(path).get("format") == INTEGER_FORMAT:
        from snn2chip.quantize.quantized_file import read_model

        _check_use(path, options)
        model = read_model(path)
        metadata = checkpoint.plain_json(path, "metadata", {**_source(path), **model.metadata})
        return Loaded(path, model.graph, integer=True, class_names=model.class_names, metadata=metadata)
    if options.arch is not None:
        return _weights(path, safetensors_file.read_weights(path), options)
    header = safetensors_file.read_architecture(path)
    content = {**header, "state_dict": safetensors_file.read_weights(path)}
    return _own(checkpoint.from_content(path, content), options)


def _is_program(path: Path) -> bool:
    with open_archive(path) as archive:
        return any(name.endswith("/archive_format") for name in archive.namelist())


def _program(path: Path, options: ImportOptions) -> Loaded:
    from snn2chip.frontend.exported import capture_exported
    from snn2chip.frontend.readers.program_file import read_program

    _check_use(path, options, *_MODULE)
    program = read_program(path)
    try:
        graph = capture_exported(
            program, options.input_shape, options.largest, options.steps, options.input_scale, options.output
        )
    except UserError as error:
        raise type(error)(f"{path}: {error}") from None
    return Loaded(path, graph, metadata=_source(path))


def _pickled(path: Path, options: ImportOptions) -> Loaded:
    content = read_content(path, options.allow_pickle)
    if checkpoint.is_checkpoint(content):
        return _own(checkpoint.from_content(path, content), options)
    if isinstance(content, Mapping) and isinstance(content.get("format"), str):
        raise UserError(checkpoint.foreign(path, content))
    found = state.unwrap(path, content)
    if isinstance(found, nn.Module):
        _check_use(path, options, *_MODULE)
        return _module(path, found.eval(), options, _source(path, pickled=type(found).__qualname__))
    if options.arch is None:
        raise UserError(checkpoint.foreign(path, content))
    return _weights(path, found, options)


def _own(read: Checkpoint, options: ImportOptions) -> Loaded:
    """A network that says everything about itself; only its input shape may be chosen anew."""
    _check_use(read.path, options, "input_shape")
    graph = _capture(read.path, read.model, options.input_shape or read.input_shape, read.largest, options)
    metadata = dict(read.metadata)
    class_names = metadata.pop("class_names", [])
    if not isinstance(class_names, list):
        raise UserError(f"{read.path}: its class_names are no list: save it again with nn.save")
    return Loaded(read.path, graph, model=read.model, class_names=tuple(map(str, class_names)), metadata=metadata)


def _weights(path: Path, weights: state.State, options: ImportOptions) -> Loaded:
    assert options.arch is not None
    _check_use(path, options, "arch", "arch_kwargs", *_MODULE)
    network = architecture.build(options.arch, options.arch_kwargs)
    model = state.load(path, network, state.plain(path, weights), options.arch)
    kwargs = checkpoint.plain_json(path, "arch_kwargs", dict(options.arch_kwargs))
    return _module(path, model, options, _source(path, arch=options.arch, arch_kwargs=kwargs))


def _module(path: Path, model: nn.Module, options: ImportOptions, metadata: Mapping[str, Any]) -> Loaded:
    if options.input_shape is None:
        raise UserError(f"{path}: it does not say what its input looks like: give --input-shape, such as 3,32,32")
    state.check_finite(path, model.state_dict())
    graph = _capture(path, model, options.input_shape, options.largest, options)
    return Loaded(path, graph, model=model, metadata=metadata)


def _capture(path: Path, model: nn.Module, shape: tuple[int, ...], largest: int, options: ImportOptions) -> Graph:
    from snn2chip.frontend.capture import capture

    try:
        return capture(model, shape, largest, options.steps, options.input_scale, options.output)
    except UserError as error:
        raise type(error)(f"{path}: {error}") from None


def _check_use(path: Path, options: ImportOptions, *used: str) -> None:
    """What was given must not be without effect."""
    default = ImportOptions()
    for name, flag in _FLAGS.items():
        if name not in used and getattr(options, name) != getattr(default, name):
            raise UserError(
                f"{path}: {flag} is not for this file, which says that itself or needs it not: leave it out"
            )


def _source(path: Path, **more: Any) -> dict[str, Any]:
    """Where a network from elsewhere came from: travels with its artifact."""
    return {"source": {"file": path.name, "sha256": files.sha256(path), **more}}
