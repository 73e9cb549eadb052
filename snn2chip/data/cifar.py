"""CIFAR-10 and CIFAR-100 from their original binary files (Krizhevsky, 2009), checked by digest."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snn2chip import files
from snn2chip.data.dataset import Dataset, Split
from snn2chip.errors import UserError

_IMAGE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
#: Of one file in them: five times the largest original, so that a damaged archive cannot exhaust the memory.
_MOST_BYTES = 2**30
_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True)
class Edition:
    """One of the two data sets, as its authors published it.

    Attributes:
        name, title: what `load` takes, and what people call it.
        archive, md5: the binary version and the digest that its home page gives.
        folder: what the archive unpacks to.
        train, test: the files in it and their sha256.
        names: the file with one class name a line.
        label_bytes: before each image; the last of them is the class (before it CIFAR-100 has the superclass).
        classes: how many there are.
    """

    name: str
    title: str
    archive: str
    md5: str
    folder: str
    train: Mapping[str, str]
    test: Mapping[str, str]
    names: str
    label_bytes: int
    classes: int


CIFAR10 = Edition(
    name="cifar10",
    title="CIFAR-10",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    train={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    test={"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
    names="batches.meta.txt",
    label_bytes=1,
    classes=10,
)
CIFAR100 = Edition(
    name="cifar100",
    title="CIFAR-100",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    train={"train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
    test={"test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
    names="fine_label_names.txt",
    label_bytes=2,
    classes=100,
)


def load(edition: Edition, root: Path | None, unchecked: bool = False) -> Dataset:
    """Images uint8 ``[B, 3, 32, 32]``, red, green and blue planes, in the authors' split and order.

    Args:
        root: the archive, the folder that it unpacks to, or a folder that holds one of the two.
        unchecked: take files of this format that are not the original ones: other digests, other numbers of images.

    Raises: UserError naming the file and the mend: nothing there, not the original (unless `unchecked`), cut off, or
    labels out of range. The "python version" is refused: reading it would run what the file says.
    """
    source = _find(edition, root)
    members = (
        _read_archive(edition, source, unchecked) if source.is_file() else _read_folder(edition, source, unchecked)
    )
    train, test = (
        _join([_parse(edition, source / name, members[name]) for name in part])
        for part in (edition.train, edition.test)
    )
    provenance = f"{edition.title}, binary version, original files (digest checked)"
    if unchecked:
        provenance = f"files in the format of {edition.title}, NOT checked to be the original"
    return Dataset(edition.name, train, test, _class_names(edition, source, members[edition.names]), 255, provenance)


def _find(edition: Edition, root: Path | None) -> Path:
    wanted = f"{edition.archive} or the folder {edition.folder} that it unpacks to ({_HOME}, binary version)"
    if root is None:
        raise UserError(f"{edition.name}: say where its files are with --root DIR: {wanted}")
    if not root.exists():
        raise UserError(f"{root}: no such file or folder: {edition.name} needs {wanted}")
    if root.is_file() or (root / next(iter(edition.train))).exists():
        return root
    for name in (edition.folder, edition.archive):
        if (root / name).exists():
            return root / name
    other = "a python version is there, but its files run code when they are read; " if _python_version(root) else ""
    raise UserError(f"{root}: {other}{edition.name} needs {wanted}")


def _python_version(root: Path) -> bool:
    return any(root.glob("cifar-10*-python*")) or any(root.glob("cifar-10-batches-py")) or (root / "meta").exists()


def _read_folder(edition: Edition, folder: Path, unchecked: bool) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for name, digest in _digests(edition).items():
        files.check_regular(folder / name, _MOST_BYTES)
        members[name] = (folder / name).read_bytes()
        if digest and not unchecked and hashlib.sha256(members[name]).hexdigest() != digest:
            raise UserError(_not_original(edition, folder / name))
    return members


def _read_archive(edition: Edition, path: Path, unchecked: bool) -> dict[str, bytes]:
    if not unchecked and _md5(path) != edition.md5:
        raise UserError(_not_original(edition, path))
    wanted = {f"{edition.folder}/{name}": name for name in _digests(edition)}
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for entry in archive:
                if entry.size > _MOST_BYTES:
                    raise UserError(f"{path}: {entry.name} in it has {entry.size} bytes: this is not {edition.archive}")
                if entry.name not in wanted or not entry.isreg():
                    continue
                stream = archive.extractfile(entry)
                assert stream is not None  # a regular file has content
                members[wanted[entry.name]] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: this archive is damaged ({error}): download it again from {_HOME}") from None
    if missing := [name for name in wanted.values() if name not in members]:
        raise UserError(f"{path}: it holds no {edition.folder}/{missing[0]}: download it again from {_HOME}")
    return members


def _digests(edition: Edition) -> dict[str, str]:
    return {**edition.train, **edition.test, edition.names: ""}


def _md5(path: Path) -> str:
    state = hashlib.md5(usedforsecurity=False)  # what the authors publish
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()


def _not_original(edition: Edition, path: Path) -> str:
    return (
        f"{path}: its digest is not that of the original {edition.title} file: download the binary version again from "
        f"{_HOME}, or take it as it is with --unchecked-data"
    )


def _parse(edition: Edition, path: Path, content: bytes) -> Split:
    record = edition.label_bytes + _PIXELS
    if not content or len(content) % record:
        raise UserError(f"{path}: {len(content)} bytes are no whole number of {record}-byte records: it was cut off")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    y = records[:, edition.label_bytes - 1].astype(np.int64)
    if (worst := int(y.max())) >= edition.classes:
        raise UserError(f"{path}: it holds the class {worst}, but {edition.title} has 0..{edition.classes - 1}")
    return Split(records[:, edition.label_bytes :].reshape(-1, *_IMAGE), y)


def _join(parts: list[Split]) -> Split:
    return Split(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def _class_names(edition: Edition, source: Path, content: bytes) -> tuple[str, ...]:
    names = tuple(content.decode("utf-8", errors="replace").split())
    if len(names) != edition.classes:
        raise UserError(f"{source / edition.names}: it names {len(names)} classes instead of {edition.classes}")
    return names
