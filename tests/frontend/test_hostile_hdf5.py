"""``.nir`` and ``.net`` files made to run code, to read other files, or to fill the memory: one sentence each."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from snn2chip.errors import UserError
from snn2chip.frontend.hdf5 import open_checked
from tests.frontend.bombs import deflated
from tests.frontend.worker import Worker

#: A filter that HDF5 would look for among the plug-ins of its folder and load as a library.
PLUGIN = 32_015


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must not be opened: whoever does waits for ever."""
    path = tmp_path / "outside.h5"
    os.mkfifo(path)
    return path


def network(path: Path) -> Path:
    """A whole NIR file, so that nothing but what a test adds is wrong with it."""
    graph = nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([1, 4, 4])),
            "conv": nir.Conv2d((4, 4), np.ones((2, 1, 3, 3), np.float32), 1, 1, 1, 1, np.zeros(2, np.float32)),
            "if": nir.IF(np.ones((2, 4, 4)), np.ones((2, 4, 4)), np.zeros((2, 4, 4))),
            "output": nir.Output(np.array([2, 4, 4])),
        },
        edges=[("input", "conv"), ("conv", "if"), ("if", "output")],
    )
    nir.write(path, graph)
    return path


def change(path: Path, place: str, make: Callable[[h5py.Group, str], object]) -> Path:
    """Put something else where `place` was."""
    with h5py.File(path, "a") as file:
        parent, _, name = place.rpartition("/")
        if name in file[parent]:
            del file[parent][name]
        make(file[parent], name)
    return path


def plain(path: Path) -> Path:
    """The least that is HDF5, under a lava-dl name."""
    with h5py.File(path, "w") as file:
        file.create_group("layer/0")
        file["layer/0/weight"] = np.ones((2, 2), np.int32)
    return path


def crafted(tmp_path: Path, suffix: str, make: Callable[[h5py.Group, str], object]) -> Path:
    if suffix == ".nir":
        return change(network(tmp_path / "model.nir"), "node/nodes/conv/weight", make)
    return change(plain(tmp_path / "model.net"), "layer/0/weight", make)


both = pytest.mark.parametrize("suffix", [".nir", ".net"])


def test_the_whole_file_is_read(worker: Worker, tmp_path: Path) -> None:
    answer = worker.open(network(tmp_path / "model.nir"), steps=2)
    assert answer.outcome == "opened", answer.text


@both
def test_another_file_by_a_link(worker: Worker, tmp_path: Path, outside: Path, suffix: str) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.__setitem__(name, h5py.ExternalLink(str(outside), "/secret")))
    assert "is a link to another file" in worker.refuses(path)


@both
def test_another_file_by_external_storage(worker: Worker, tmp_path: Path, outside: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        group.create_dataset(name, shape=(100,), dtype="u1", external=[(str(outside), 0, 100)])

    assert "takes its data from other files" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_another_file_by_a_virtual_dataset(worker: Worker, tmp_path: Path, outside: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        layout = h5py.VirtualLayout((100,), "f4")
        layout[:] = h5py.VirtualSource(str(outside), "secret", (100,))
        group.create_virtual_dataset(name, layout)

    assert "takes its data from other files" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_a_soft_link(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.__setitem__(name, h5py.SoftLink("/")))
    assert "is a soft link" in worker.refuses(path)


@both
def test_a_library_as_filter(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        properties.set_filter(PLUGIN, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4,))
        dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, properties)
        dataset.write_direct_chunk((0,), bytes(16))

    assert f"is stored through the filters [{PLUGIN}]" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_a_shape_without_data(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.create_dataset(name, shape=(10**15,), dtype="f4"))
    assert "brings what the file expands to above" in worker.refuses(path)


@both
def test_gzip_that_expands_a_thousandfold(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        chunk, stream = 2**24, zlib.compress(bytes(2**24), 9)
        data = group.create_dataset(name, shape=(64 * chunk,), chunks=(chunk,), dtype="u1", compression="gzip")
        for index in range(64):
            data.id.write_direct_chunk((index * chunk,), stream)

    path = crafted(tmp_path, suffix, make)
    assert path.stat().st_size < 2**21
    assert "brings what the file expands to above" in worker.refuses(path)


@both
def test_a_gzip_stream_longer_than_its_chunk(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        data = group.create_dataset(name, shape=(16,), chunks=(16,), dtype="u1", compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(b"")[:2] + deflated(b"", 64) + bytes(4))

    path = crafted(tmp_path, suffix, make)
    assert path.stat().st_size < 2**21
    assert "holds a gzip stream that is longer than its chunk" in worker.refuses(path)


@both
@pytest.mark.parametrize("filters", [("gzip", "shuffle"), ("gzip", "gzip")])
def test_gzip_that_cannot_be_looked_into(worker: Worker, tmp_path: Path, suffix: str, filters: tuple[str, str]) -> None:
    def make(group: h5py.Group, name: str) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        for code in filters:
            properties.set_deflate(9) if code == "gzip" else properties.set_shuffle()
        space = h5py.h5s.create_simple((4,))
        dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, properties)
        dataset.write_direct_chunk((0,), bytes(16))

    assert "is stored through the filters" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_a_chunk_larger_than_its_data(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        group.create_dataset(name, shape=(1,), maxshape=(None,), chunks=(2**29,), dtype="f4")

    assert "brings what the file expands to above" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_one_long_text_that_many_share(worker: Worker, tmp_path: Path, suffix: str) -> None:
    """8192 references to one string of 1 MiB: copies of the reference that HDF5 wrote for the first."""

    def make(group: h5py.Group, name: str) -> None:
        data = group.create_dataset(name, shape=(8192,), chunks=(8192,), dtype=h5py.string_dtype())
        data[0] = "x" * 2**20
        _, references = data.id.read_direct_chunk((0,))
        data.id.write_direct_chunk((0,), references[:16] * 8192)

    path = crafted(tmp_path, suffix, make)
    assert path.stat().st_size < 2**22
    assert "bytes of text" in worker.refuses(path)


@both
def test_texts_that_never_end(worker: Worker, tmp_path: Path, suffix: str) -> None:
    """libhdf5 itself would search the heap of texts for ever."""
    path = crafted(tmp_path, suffix, lambda g, name: g.__setitem__(name, "text"))
    content = bytearray(path.read_bytes())
    heap = content.rindex(b"GCOL\x01")
    content[heap + 16 : heap + 32] = bytes(16)  # free space of no bytes
    path.write_bytes(content)
    assert "its texts are damaged" in worker.refuses(path)


@both
def test_a_group_inside_itself(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.__setitem__(name, g))
    assert "is reached by a second path" in worker.refuses(path)


@both
def test_groups_that_double_at_every_level(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        for _ in range(50):
            inner = group.create_group(name)
            group["again"] = inner
            group = inner

    assert "is reached by a second path" in worker.refuses(crafted(tmp_path, suffix, make))


@both
def test_endless_depth(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.create_group(name + "/x" * 200))
    assert "groups deep" in worker.refuses(path)


@both
def test_more_objects_than_any_network_has(worker: Worker, tmp_path: Path, suffix: str) -> None:
    def make(group: h5py.Group, name: str) -> None:
        many = group.create_group(name)
        for index in range(2**16):
            many.id.links.create_soft(b"%d" % index, b"/")

    assert "brings the objects to more than" in worker.refuses(crafted(tmp_path, suffix, make))


@both
@pytest.mark.parametrize("kind", [h5py.ref_dtype, np.dtype([("a", "f4")]), h5py.vlen_dtype("f4"), np.dtype("V8")])
def test_values_that_are_neither_numbers_nor_texts(
    worker: Worker, tmp_path: Path, suffix: str, kind: np.dtype[np.void]
) -> None:
    path = crafted(tmp_path, suffix, lambda g, name: g.create_dataset(name, shape=(3,), dtype=kind))
    assert "store numbers and strings alone" in worker.refuses(path)


@both
def test_a_pipe(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    os.mkfifo(path)
    assert "is a device or a pipe" in worker.refuses(path)


@pytest.mark.parametrize("shape", [[10**9, 10**9, 10**9], [2**62], [-1, 4, 4]])
def test_an_input_that_no_memory_holds(worker: Worker, tmp_path: Path, shape: list[int]) -> None:
    path = change(network(tmp_path / "model.nir"), "node/nodes/input/shape", lambda g, n: g.__setitem__(n, shape))
    worker.refuses(path, steps=1)


def test_an_operation_that_nobody_knows(worker: Worker, tmp_path: Path) -> None:
    path = change(network(tmp_path / "model.nir"), "node/nodes/conv/type", lambda g, n: g.__setitem__(n, "os.system"))
    assert "conv" in worker.refuses(path, steps=1)


def test_names_cannot_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file["\x1b[2J"] = h5py.SoftLink("/")
    with pytest.raises(UserError) as refusal:
        open_checked(tmp_path / "a.nir")
    assert "\x1b" not in str(refusal.value)


def test_ordinary_files_pass(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file.create_dataset("noise", data=values, compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("texts", data=[["a", "b"]], chunks=(1, 1), compression="gzip")
        file.create_dataset("grid", data=np.zeros((5, 7)), chunks=(2, 2), compression="gzip")
        file["flag"], file["number"], file["text"] = True, 3, "weiß"
    with open_checked(tmp_path / "a.nir") as file:
        np.testing.assert_array_equal(file["noise"][()], values)
        assert file["text"][()].decode() == "weiß"


def test_flipped_bits_never_end_in_anything_but_a_sentence(worker: Worker, tmp_path: Path) -> None:
    whole, rng = network(tmp_path / "whole.nir").read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(100):
        spoilt = bytearray(whole)
        for place in rng.integers(len(whole), size=4):
            spoilt[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "model.nir").write_bytes(spoilt)
        answer = worker.open(tmp_path / "model.nir", steps=1)
        outcomes.add(answer.outcome)
        assert answer.outcome != "fell", answer.text
        assert answer.seconds < 2.0
    assert outcomes == {"opened", "refused"}
