"""The artifact: a folder with a network's integer form, its exported forms, samples and certificate.

``docs/artifact-format.md`` documents every file and key. Reading checks every digest and trusts nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import snn2chip
from snn2chip import files, graph_io, numpy_files, spec
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph

FORMAT = "snn2chip-artifact-1"
MANIFEST = "manifest.json"
GRAPH = "graph.json"
TENSORS = "tensors.safetensors"
SAMPLES = "samples.npz"
SEARCH = "search.npz"
FIT = "fit.json"
CERTIFICATE = "certificate.json"
#: At most this many real samples travel with an artifact.
SAMPLE_LIMIT = 512


@dataclass(frozen=True)
class Samples:
    """Real inputs: `x` uint8 ``[B, C, H, W]`` or ``[B, T, C, H, W]``; `y` class indices int64 ``[B]``, or None."""

    x: Array
    y: Array | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Description:
    """What an artifact says about its network besides the integers.

    Attributes:
        name: of the model, as in ``build/<name>-<target>``.
        target: name of the chip it was exported for.
        class_names: one a class, or empty.
        preprocessing: how real data become the uint8 input, in words and numbers.
        training: recipe, accuracy, seed, ... as the checkpoint has them.
    """

    name: str
    target: str
    class_names: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    training: Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A checked artifact on disk."""

    folder: Path
    graph: Graph
    description: Description
    samples: Samples | None
    manifest: Mapping[str, Any]


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes the artifact `folder` when the block ends well (see `snn2chip.files.replacing`).

    Raises: UserError where `folder` is there already and is not an artifact.
    """
    if not _replaceable(folder):
        raise UserError(f"{folder}: it exists and is not an artifact: choose another --out, or remove it")
    with files.replacing(folder) as temporary:
        yield temporary


def _replaceable(folder: Path) -> bool:
    try:
        if not folder.exists():
            return True
        return folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def write_core(folder: Path, graph: Graph, description: Description, samples: Samples | None) -> None:
    """Write graph.json, tensors.safetensors and samples.npz into `folder`."""
    from safetensors.numpy import save_file

    document, tensors = graph_io.to_document(graph)
    document["input_shape"] = list(graph.signals[graph.input.name].shape)
    document["input_encoding"] = "direct [B, *input_shape], or frames [B, steps, *input_shape]; uint8"
    document["preprocessing"] = dict(description.preprocessing)
    document["class_names"] = list(description.class_names)
    (folder / GRAPH).write_text(files.canonical_json(document), encoding="utf-8")
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / TENSORS)
    if samples is not None:
        write_npz(folder / SAMPLES, {"x": samples.x} | ({} if samples.y is None else {"y": samples.y}))


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """A compressed ``.npz`` whose bytes depend on the arrays alone (NumPy's own writer stores the time of day)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def seal(folder: Path, graph: Graph, description: Description, forms: Mapping[str, Any]) -> None:
    """Write manifest.json: the sha256 and size of every other file in `folder`, and the manifest's own digest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in paths:
        path.chmod(0o644)  # safetensors writes files that nobody else can read
    listed = {
        path.relative_to(folder).as_posix(): {"sha256": files.sha256(path), "size": path.stat().st_size}
        for path in paths
    }
    body = {
        "format": FORMAT,
        "tool_version": snn2chip.__version__,
        "graph_digest": graph.digest,
        "model": {"name": description.name, "training": dict(description.training)},
        "target": description.target,
        "forms": dict(forms),
        "files": listed,
    }
    (folder / MANIFEST).write_text(files.canonical_json(body | {"digest": _own_digest(body)}), encoding="utf-8")


def replace_certificate(read: Artifact, text: str) -> bool:
    """Put another certificate.json into an artifact, as a whole or not at all; False where it is the same already."""
    if (read.folder / CERTIFICATE).read_text(encoding="utf-8") == text:
        return False
    with writing(read.folder) as temporary:
        shutil.copytree(read.folder, temporary, dirs_exist_ok=True)
        (temporary / CERTIFICATE).write_text(text, encoding="utf-8")
        seal(temporary, read.graph, read.description, read.manifest["forms"])
    return True


def _own_digest(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "digest"}
    return hashlib.sha256(files.canonical_json(rest).encode()).hexdigest()


def read(folder: str | Path) -> Artifact:
    """Read an artifact, checking every digest.

    Raises: UserError naming the file that is missing, added, truncated or changed.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    try:
        _check_files(folder, manifest["files"])
    except OSError as error:
        raise UserError(f"{folder}: a file of it cannot be read: {error.strerror}") from None
    document = _read_document(folder)
    graph = _read_graph(folder, document)
    if graph.digest != manifest.get("graph_digest"):
        raise UserError(f"{folder / GRAPH}: it is another graph than {MANIFEST} names: export the model again")
    description = Description(
        name=manifest["model"]["name"],
        target=manifest["target"],
        class_names=tuple(document["class_names"]),
        preprocessing=document["preprocessing"],
        training=manifest["model"]["training"],
    )
    samples = read_samples(folder / SAMPLES) if (folder / SAMPLES).exists() else None
    return Artifact(folder, graph, description, samples, manifest)


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        if folder.is_file():
            raise UserError(f"{folder}: this is a file: name the folder that 'snn2chip export' made of it")
        raise UserError(f"{folder}: no such folder: make an artifact with 'snn2chip export model.pt --target loihi2'")
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder}: it holds no {MANIFEST}, so it is not an artifact, or a part of it was lost")
    manifest = files.read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{folder / MANIFEST}: its format is not {FORMAT!r}: export the model again with this version")
    if not _is_as_written(folder, manifest):
        raise UserError(f"{folder / MANIFEST}: it was changed after export (its own digest differs): export again")
    if not _is_well_formed(manifest):
        raise UserError(f"{folder / MANIFEST}: an entry is missing or malformed: export the model again")
    return manifest


def _is_as_written(folder: Path, manifest: Mapping[str, Any]) -> bool:
    try:
        text = (folder / MANIFEST).read_bytes()
        line = f'  "digest": "{manifest.get("digest")}",\n'.encode()
        # Canonical text without the line of its digest is the canonical text of the rest.
        if hashlib.sha256(text.replace(line, b"", 1)).hexdigest() != manifest.get("digest"):
            return False
        # The text, too: a manifest with other white space is not the one that was written.
        return text == files.canonical_json(manifest).encode()
    except (ValueError, RecursionError):  # NaN, half a surrogate pair, endless nesting: we never write those
        return False


def _is_well_formed(manifest: Mapping[str, Any]) -> bool:
    listed, model = manifest.get("files"), manifest.get("model")
    if not isinstance(listed, dict) or not isinstance(model, dict):
        return False
    return (
        all(isinstance(entry, dict) and {"size", "sha256"} <= entry.keys() for entry in listed.values())
        and isinstance(model.get("name"), str)
        and isinstance(model.get("training"), dict)
        and isinstance(manifest.get("target"), str)
        and isinstance(manifest.get("forms"), dict)
    )


def _read_document(folder: Path) -> Mapping[str, Any]:
    document = files.read_json(folder / GRAPH)
    names = document.get("class_names") if isinstance(document, dict) else None
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not listed or not isinstance(document.get("preprocessing"), dict):
        raise UserError(f"{folder / GRAPH}: class_names or preprocessing is missing or malformed: export again")
    return dict(document)


def _check_files(folder: Path, listed: Any) -> None:
    for name, expected in listed.items():
        _check_file(folder, name, expected)
    if lost := sorted({GRAPH, TENSORS, FIT, CERTIFICATE} - set(listed)):
        raise UserError(f"{folder / MANIFEST}: it does not list {lost[0]}: export the model again")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if added := sorted(present - set(listed) - {MANIFEST}):
        raise UserError(f"{folder / added[0]}: this file is not part of the artifact: remove it")


def _check_file(folder: Path, name: str, expected: Mapping[str, Any]) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{folder / MANIFEST}: it names {name!r}, which lies outside the artifact: do not use it")
    file = folder / name
    if not file.is_file() or file.is_symlink():
        raise UserError(f"{file}: missing from the artifact: export the model again")
    if file.stat().st_size != expected["size"]:
        raise UserError(f"{file}: it has {file.stat().st_size} bytes instead of {expected['size']}: export again")
    if files.sha256(file) != expected["sha256"]:
        raise UserError(f"{file}: its content was changed after export (sha256 differs): export the model again")


def _read_graph(folder: Path, document: Any) -> Graph:
    tensors = _read_tensors(folder / TENSORS)
    try:
        graph = graph_io.from_document(document, tensors)
        spec.check_integer(graph)
    except GraphError as error:
        raise UserError(f"{folder / GRAPH}: {error}") from None
    return graph


def _read_tensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: this is not a safetensors file ({error})") from None
    except (TypeError, AttributeError, KeyError):  # what its reader raises for types that NumPy has not got
        raise UserError(f"{path}: a tensor has a type that NumPy cannot hold: export the model again") from None


def read_samples(path: str | Path) -> Samples:
    """Inputs from ``.npz`` (``x`` and optional ``y``) or ``.npy``; UserError where the file is missing or malformed."""
    path = Path(path)
    arrays = numpy_files.read(path, ("x", "y"))
    if "x" not in arrays:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        if any(name.endswith("/data.pkl") for name in members):
            raise UserError(f"{path}: this is a file of torch.save, no inputs: give an .npz with x (numpy.savez)")
        names = ", ".join(name.removesuffix(".npy")[:40] for name in members[:5])
        raise UserError(f"{path}: it has no array 'x' (found {names}): name the inputs x")
    x, y = arrays["x"], arrays.get("y")
    if x.ndim == 0:
        raise UserError(f"{path}: its x is no array of inputs: give uint8 [B, C, H, W] or [B, T, C, H, W]")
    if x.dtype.kind not in "biuf":
        raise UserError(f"{path}: its x holds {x.dtype}, no real numbers: give uint8 [B, C, H, W] or [B, T, C, H, W]")
    return Samples(x, None if y is None else _classes(path, y, len(x)))


def _classes(path: Path, y: Any, count: int) -> Array:
    if not isinstance(y, np.ndarray) or y.shape != (count,):
        shape = getattr(y, "shape", None)
        raise UserError(f"{path}: y has shape {shape}, but there are {count} inputs in x: give one class each")
    if y.dtype.kind not in "iu":
        raise UserError(f"{path}: y has dtype {y.dtype}, but classes are whole numbers: give one class index each")
    if y.size and not 0 <= int(y.min()) <= int(y.max()) < 2**31:
        raise UserError(f"{path}: y holds {int(y.min())}..{int(y.max())}, but class indices start at 0")
    return y.astype(np.int64)
