"""CIFAR's binary format, on small files of random pixels that the tests write: the originals are not at hand."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from snn2chip import data
from snn2chip.data import cifar
from snn2chip.data.cifar import CIFAR10, CIFAR100, Edition
from snn2chip.errors import UserError
from tests.data.cifar_files import PER_FILE, archive, contents, folder


def as_original(edition: Edition, target: Path | None = None) -> Edition:
    """`edition` with the digests of the small files, as if they were the published ones."""
    made = contents(edition)
    train, test = (
        {name: hashlib.sha256(made[name]).hexdigest() for name in part} for part in (edition.train, edition.test)
    )
    md5 = hashlib.md5(target.read_bytes()).hexdigest() if target else ""
    return dataclasses.replace(edition, train=train, test=test, md5=md5)


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=lambda edition: edition.name)
def test_records_become_images_in_their_order(edition: Edition, tmp_path: Path) -> None:
    folder(edition, tmp_path)
    loaded = data.load(edition.name, root=tmp_path, unchecked=True)
    count = PER_FILE * len(edition.train)
    assert loaded.train.x.shape == (count, 3, 32, 32)
    assert loaded.test.x.shape == (PER_FILE, 3, 32, 32)
    assert loaded.largest == 255
    assert loaded.class_names[:2] == ("class0", "class1")
    raw = contents(edition)[list(edition.train)[-1]]
    record = raw[(PER_FILE - 1) * (edition.label_bytes + 3072) :]
    assert loaded.train.y[-1] == record[edition.label_bytes - 1]
    assert loaded.train.x[-1].tobytes() == record[edition.label_bytes :]
    assert loaded.train.x[-1][2, 0, 1] == record[edition.label_bytes + 2 * 1024 + 1]


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=lambda edition: edition.name)
def test_the_archive_the_folder_and_their_parent_are_all_taken(edition: Edition, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    packed, unpacked = archive(edition, tmp_path / "a"), folder(edition, tmp_path)
    roots = (packed, packed.parent, unpacked, tmp_path)
    first, *others = (data.load(edition.name, root=root, unchecked=True) for root in roots)
    assert all(np.array_equal(first.train.x, other.train.x) for other in others)
    assert all(np.array_equal(first.test.y, other.test.y) for other in others)


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=lambda edition: edition.name)
def test_what_is_not_the_original_is_refused_unless_asked_for(edition: Edition, tmp_path: Path) -> None:
    packed, unpacked = archive(edition, tmp_path), folder(edition, tmp_path)
    for root in (packed, unpacked):
        with pytest.raises(UserError, match=r"its digest is not that of the original CIFAR-.*--unchecked-data"):
            cifar.load(edition, root)
    assert "NOT checked to be the original" in cifar.load(edition, packed, unchecked=True).provenance


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=lambda edition: edition.name)
def test_the_digests_of_the_original_let_it_pass_and_one_changed_pixel_does_not(
    edition: Edition, tmp_path: Path
) -> None:
    packed, unpacked = archive(edition, tmp_path), folder(edition, tmp_path)
    original = as_original(edition, packed)
    for root in (packed, unpacked):
        assert "original files (digest checked)" in cifar.load(original, root).provenance
        file = root if root.is_file() else root / next(iter(edition.test))
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"its digest is not that of the original"):
            cifar.load(original, root)


def test_damage_is_named(tmp_path: Path) -> None:
    unpacked = folder(CIFAR10, tmp_path)
    batch = unpacked / "data_batch_3.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"data_batch_3.bin: 61459 bytes are no whole number of 3073-byte records"):
        cifar.load(CIFAR10, unpacked, unchecked=True)
    batch.write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(UserError, match=r"data_batch_3.bin: it holds the class 10, but CIFAR-10 has 0..9"):
        cifar.load(CIFAR10, unpacked, unchecked=True)
    batch.unlink()
    with pytest.raises(UserError, match=r"data_batch_3.bin: no such file"):
        cifar.load(CIFAR10, unpacked, unchecked=True)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    members = contents(CIFAR10)
    del members["test_batch.bin"]
    packed = archive(CIFAR10, tmp_path, members)
    with pytest.raises(UserError, match=r"it holds no cifar-10-batches-bin/test_batch.bin: download it again"):
        cifar.load(CIFAR10, packed, unchecked=True)
    packed.write_bytes(packed.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cifar-10-binary.tar.gz: this archive is damaged"):
        cifar.load(CIFAR10, packed, unchecked=True)


def test_missing_files_are_said_with_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cifar10: say where its files are with --root DIR: cifar-10-binary.tar.gz or"):
        data.load("cifar10")
    with pytest.raises(UserError, match=r"nowhere: no such file or folder: cifar100 needs cifar-100-binary.tar.gz"):
        data.load("cifar100", root=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"cifar10 needs cifar-10-binary.tar.gz or the folder cifar-10-batches-bin"):
        data.load("cifar10", root=tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(UserError, match=r"a python version is there, but its files run code when they are read"):
        data.load("cifar10", root=tmp_path)
