"""An artifact is whole, checked and replaced as one."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import api, artifact, files
from snn2chip.errors import UserError
from snn2chip.hw_models.chip import load_chip


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(original, tmp_path / "artifact"))


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_reads_back_the_same_network(folder: Path) -> None:
    read = artifact.read(folder)
    assert read.graph.digest == read.manifest["graph_digest"]
    assert read.description.target == "loihi2"
    assert read.samples is not None
    assert read.samples.x.shape == (6, 1, 4, 4)
    expected = {"manifest.json", "graph.json", "tensors.safetensors", "model.nir", "model.onnx", "samples.npz"}
    assert expected | {"fit.json", "certificate.json"} <= {path.name for path in folder.iterdir()}
    assert (folder / "lava").is_dir()


def test_any_changed_byte_is_named(folder: Path) -> None:
    for path in all_files(folder):
        whole = path.read_bytes()
        for place in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            changed = bytearray(whole)
            changed[place] ^= 0x10
            path.write_bytes(bytes(changed))
            with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
                artifact.read(folder)
        path.write_bytes(whole)
    artifact.read(folder)


def test_truncated_missing_and_added_files_are_named(folder: Path) -> None:
    for path in all_files(folder):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
            artifact.read(folder)
        path.unlink()
        with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
            artifact.read(folder)
        path.write_bytes(whole)
    (folder / "lava" / "more.txt").write_text("surprise")
    with pytest.raises(UserError, match=r"more\.txt: this file is not part of the artifact"):
        artifact.read(folder)


def reseal(folder: Path, change: dict[str, object]) -> None:
    """What somebody would do who changes a file and rebuilds the digests."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.update(change)
    manifest.pop("digest")
    manifest["digest"] = artifact._own_digest(manifest)
    (folder / "manifest.json").write_text(files.canonical_json(manifest))


def test_a_manifest_that_points_outside_is_refused(folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    listed = {"sha256": files.sha256(secret), "size": 6}
    reseal(folder, {"files": {"../secret.txt": listed}})
    with pytest.raises(UserError, match="lies outside the artifact"):
        artifact.read(folder)


def test_a_link_instead_of_a_file_is_refused(folder: Path) -> None:
    model = folder / "model.onnx"
    model.rename(folder.parent / "elsewhere.onnx")
    model.symlink_to(folder.parent / "elsewhere.onnx")
    with pytest.raises(UserError, match=r"model\.onnx: missing from the artifact"):
        artifact.read(folder)


def test_not_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        artifact.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not an artifact"):
        artifact.read(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="its format is not"):
        artifact.read(tmp_path)


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "cat.jpg").write_text("cat")
    with pytest.raises(UserError, match="is not an artifact"), artifact.writing(precious):
        pytest.fail("the block must not run")
    assert (precious / "cat.jpg").read_text() == "cat"


def test_an_error_leaves_the_old_artifact_whole_and_nothing_else(folder: Path) -> None:
    before = {path: path.read_bytes() for path in all_files(folder)}

    def write_half() -> None:
        with artifact.writing(folder) as temporary:
            (temporary / "graph.json").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert {path: path.read_bytes() for path in all_files(folder)} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_replacing_without_the_atomic_exchange(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no renameat2, two renames do; the result is the same."""

    class NoExchange:
        pass

    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_kwargs: NoExchange())
    with artifact.writing(folder) as temporary:
        (temporary / "new.txt").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
    assert list(folder.parent.iterdir()) == [folder]


DISK_FULL = textwrap.dedent("""
    import sys
    from pathlib import Path
    from snn2chip import artifact
    from snn2chip.errors import UserError
    folder = Path(sys.argv[1])
    kept = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    try:
        with artifact.writing(folder) as temporary:
            (temporary / "big.bin").write_bytes(bytes(50_000_000))
    except UserError as error:
        print(error)
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == kept
    assert [p.name for p in folder.parent.iterdir()] == [folder.name], list(folder.parent.iterdir())
""")


def test_a_full_disk_is_one_sentence_and_loses_nothing(original: Path, tmp_path: Path) -> None:
    """On a real, small file system of its own (a tmpfs in a private mount namespace)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size=8m tmpfs {disk}
        cp -r {original} {disk}/artifact
        exec {sys.executable} -c "$PROGRAM" {disk}/artifact
    """
    environment = {**os.environ, "PROGRAM": DISK_FULL}
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-ec", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the disk is full, and nothing was written" in done.stdout


def test_two_exports_give_the_same_bytes(original: Path, tmp_path: Path) -> None:
    read = artifact.read(original)
    compiled = api.Compiled(read.graph, "small", samples=read.samples)
    again = api.write(compiled, load_chip("loihi2"), tmp_path / "again").folder
    for path in all_files(original):
        twin = again / path.relative_to(original)
        assert twin.read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"nothing", "not a NumPy file"),
        (b"", "not a NumPy file"),
        (b"PK\x03\x04 broken", "not a NumPy file"),
    ],
)
def test_inputs_that_are_no_arrays(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.npz: this is {sentence}"):
        artifact.read_samples(path)


def test_inputs_with_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy"):
        artifact.read_samples(path)


def test_inputs_without_x_or_with_too_few_classes(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros(3))
    with pytest.raises(UserError, match=r"no array 'x' \(found images\)"):
        artifact.read_samples(path)
    np.savez(path, x=np.zeros((3, 1)), y=np.zeros(2))
    with pytest.raises(UserError, match="one class each"):
        artifact.read_samples(path)


@pytest.mark.parametrize("x", [np.zeros((2, 1, 4, 4), complex), np.array(["a", "b"]), np.zeros(2, "V3")])
def test_inputs_that_are_no_real_numbers(tmp_path: Path, x: Any) -> None:
    np.savez(tmp_path / "x.npz", x=x)
    with pytest.raises(UserError, match=rf"x\.npz: its x holds {re.escape(str(x.dtype))}, no real numbers: give uint8"):
        artifact.read_samples(tmp_path / "x.npz")
