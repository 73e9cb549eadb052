"""``torch.save`` files, read without running anything in them; with ``allow_pickle``, as whoever wrote them wants."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from snn2chip.errors import UserError
from snn2chip.files import check_regular
from snn2chip.frontend.readers.archive import MOST_BYTES, arrays, open_archive, open_nested, packed, read_member
from snn2chip.user_code import current_folder_importable

ZIP_SIGNATURE = b"PK\x03\x04"
_NUMPY_SIGNATURE = b"\x93NUMPY"
#: A pickle describes tensors; their values are members of their own.
MOST_PICKLE_BYTES = 2**26
#: What the pickle of a checkpoint may name. ``weights_only=True`` allows more, such as ``bytearray(10**12)``.
_HARMLESS = frozenset(
    {
        "collections.OrderedDict",
        "collections.Counter",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",  # types without a storage class of their own: uint16, float8, ...
        "torch.storage.UntypedStorage",
        "torch.Size",
        "torch.device",
    }
)
_DAMAGED = (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, MemoryError)


def read_content(path: Path, allow_pickle: bool = False) -> Any:
    """The object in a ``torch.save`` file: tensors and plain types, or anything where `allow_pickle` is true.

    Raises: UserError, one sentence that names the file, what it holds and the mend, where it is missing, damaged,
    TorchScript, larger in memory than on disk, or (without `allow_pickle`) would run code.
    """
    check_regular(path, MOST_BYTES)
    if allow_pickle:
        return _load_anything(path)
    if (signature := path.open("rb").read(8))[:4] != ZIP_SIGNATURE:
        raise UserError(_not_a_zip(path, signature))
    with open_archive(path) as archive:
        _check_pickle(str(path), archive)
        return _load(str(path), archive)


def check_nested(name: str, content: bytes) -> None:
    """The same for an archive that is a member of another, without keeping what it holds."""
    with open_nested(name, content) as archive:
        _check_pickle(name, archive)
        _load(name, archive)


def _load(name: str, archive: zipfile.ZipFile) -> Any:
    """What PyTorch makes of the members that were checked."""
    file = packed({member: read_member(name, archive, member) for member in archive.namelist()})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a foreign pickle protocol: what matters is the error
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(name, [str(error).split("\n")[0]]) from None
    except _DAMAGED:
        raise UserError(f"{name}: this is not a PyTorch checkpoint, or it is damaged: save it again") from None


def _not_a_zip(path: Path, signature: bytes) -> str:
    if signature[:1] == b"\x80":
        return (
            f"{path}: refused, because it holds pickled objects outside an archive, as PyTorch wrote them before 1.6: "
            "load it where you trust it and save its state_dict() again with torch.save"
        )
    if signature.startswith(_NUMPY_SIGNATURE):
        return arrays(str(path))
    return f"{path}: this is not a PyTorch checkpoint, or it is damaged: give a .pt, .pt2, .safetensors, .nir or .net"


def _check_pickle(path: str, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1 or archive.getinfo(pickles[0]).file_size > MOST_PICKLE_BYTES:
        raise UserError(f"{path}: this is not a PyTorch checkpoint, or it is damaged: save it with torch.save")
    try:
        culprits = sorted(set(_culprits(read_member(path, archive, pickles[0]))))
    except (ValueError, UnicodeError, IndexError) as error:
        raise UserError(f"{path}: its pickle is damaged ({str(error)[:80]}): save the model again") from None
    if culprits:
        raise _unsafe(path, culprits)


def _culprits(content: bytes) -> Iterator[str]:
    """What a pickle names besides tensors and plain types, found without running it."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "STACK_GLOBAL":
            yield "a name that it puts together while loading"
        elif opcode.name in ("GLOBAL", "INST"):
            name = str(argument).replace(" ", ".", 1)
            if not _is_harmless(name):
                yield name
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            yield "an entry of the copyreg extension registry"


def _is_harmless(name: str) -> bool:
    if name in _HARMLESS:
        return True
    module, _, last = name.rpartition(".")
    kind = getattr(torch, last, None)
    is_storage = isinstance(kind, type) and kind in torch._storage_classes
    return module == "torch" and (is_storage or isinstance(kind, torch.dtype))


def _unsafe(path: str, culprits: list[str]) -> UserError:
    shown = ", ".join(repr(name[:80]) for name in culprits[:3]) + (", ..." if len(culprits) > 3 else "")
    return UserError(
        f"{path}: refused, because it holds pickled objects that are no plain tensors, numbers or texts ({shown}), and "
        "loading them could run code: save plain tensors instead, with snn2chip.nn.save(model, path) or "
        "torch.save(model.state_dict(), path), or give --allow-pickle if you trust whoever made the file"
    )


def _load_anything(path: Path) -> Any:
    try:
        with current_folder_importable(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, of protocols, of moved classes: the user chose to trust
            return torch.load(path, map_location="cpu", weights_only=False)
    except (Exception, SystemExit) as error:  # a pickle runs somebody's code, which may raise anything
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{path}: it cannot be unpickled ({detail}): start snn2chip where the classes of the model can be imported"
        ) from error
