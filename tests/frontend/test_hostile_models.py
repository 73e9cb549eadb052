"""Model files made to run code, to read other files, or to fill the memory: each is refused in one sentence."""

from __future__ import annotations

import argparse
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from snn2chip import api, frontend, graph_io, nn
from snn2chip.errors import UserError
from snn2chip.quantize import quantize, quantized_file
from tests.frontend.bombs import BLOCK, deflated, zip_archive
from tests.frontend.worker import SECONDS, Worker

SMALL: dict[str, Any] = {"width": 4, "blocks_per_stage": [1], "strides": [1], "in_channels": 1, "classes": 3}
HUGE = 10**15


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def checkpoint(path: Path, **changes: Any) -> Path:
    nn.save(nn.build("resnet", SMALL), path, input_shape=[1, 8, 8], input_largest=16)
    torch.save(torch.load(path, weights_only=True) | changes, path)
    return path


def repacked(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The same archive with other contents."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


# --- torch.save ---------------------------------------------------------------------------------------------------


def test_whole_files_are_opened(worker: Worker, tmp_path: Path) -> None:
    answer = worker.open(checkpoint(tmp_path / "model.pt"))
    assert answer.outcome == "opened", answer.text


def payloads(sentinel: Path) -> dict[str, Any]:
    mkdir = str(sentinel)
    return {
        "a call": Call(os.mkdir, mkdir),
        "a call behind torch's own": Call(torch._tensor._rebuild_from_type_v2, os.mkdir, str, (mkdir,), None),
        "an evaluation": Call(eval, f"__import__('os').mkdir({mkdir!r})"),
        "a class": argparse.Namespace,
    }


@pytest.mark.parametrize("name", ["a call", "a call behind torch's own", "an evaluation", "a class"])
def test_pt_that_runs_code(worker: Worker, tmp_path: Path, sentinel: Path, name: str) -> None:
    path = checkpoint(tmp_path / "model.pt", recipe=payloads(sentinel)[name])
    assert "refused, because it holds pickled objects" in worker.refuses(path)


def test_pt_of_before_the_archives_that_runs_code(worker: Worker, tmp_path: Path, sentinel: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(Call(os.mkdir, str(sentinel)), path, _use_new_zipfile_serialization=False)
    assert "refused, because it holds pickled objects" in worker.refuses(path)


def test_torchscript(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    assert "this is TorchScript" in worker.refuses(path)
    assert "this is TorchScript" in worker.refuses(path, allow_pickle=True)


@pytest.mark.parametrize("member", ["model/../../outside", "/etc/outside", "model\\..\\outside"])
def test_pt_with_members_outside(worker: Worker, tmp_path: Path, member: str) -> None:
    path = checkpoint(tmp_path / "model.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, b"x")
    assert "lies outside the archive" in worker.refuses(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt"]


def test_pt_with_a_member_twice(worker: Worker, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0], b"x")
    assert "is there twice" in worker.refuses(path)


def test_pt_with_two_tables_of_contents(worker: Worker, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt")
    path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    worker.refuses(path)


def test_pt_with_a_table_of_contents_behind_its_end(worker: Worker, tmp_path: Path) -> None:
    """Two readers may find two tables of contents where there is room behind the first: none is left."""
    path = checkpoint(tmp_path / "model.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = bytes(22)
    assert "something stands behind its last member" in worker.refuses(path)


def test_pt_with_a_member_twice_but_for_case(worker: Worker, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(next(name for name in archive.namelist() if name.endswith("data.pkl")).upper(), b"x")
    assert "is there twice" in worker.refuses(path)


def test_pt_with_values_that_are_infinite_as_float32(worker: Worker, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    name = next(name for name, tensor in content["state_dict"].items() if tensor.is_floating_point())
    content["state_dict"][name] = content["state_dict"][name].double() + 1e300
    torch.save(content, path)
    assert "holds NaN or infinite values as float32" in worker.refuses(path)


def test_pt_that_expands(worker: Worker, tmp_path: Path) -> None:
    path = zip_archive(tmp_path / "model.pt", "model/data.pkl", deflated(b"", 64), 64 * BLOCK)
    assert path.stat().st_size < 2**21
    assert "is compressed or encrypted" in worker.refuses(path)


def test_pt_with_more_values_than_bytes(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.arange(77, dtype=torch.float32)}, path)
    count, many = b"K" + bytes([77]), b"\x8a\x07" + HUGE.to_bytes(7, "little")
    repacked(path, lambda name, content: content.replace(count, many) if name.endswith(".pkl") else content)
    assert "is damaged" in worker.refuses(path, arch="resnet")


def test_pt_with_a_view_of_one_value(worker: Worker, tmp_path: Path) -> None:
    state = nn.build("resnet", SMALL).state_dict()
    state["head.weight"] = torch.zeros(1).expand(3, HUGE)
    assert "its tensors show" in worker.refuses(checkpoint(tmp_path / "model.pt", state_dict=state))


@pytest.mark.parametrize("call", [Call(bytearray, 10**12), Call(torch.Tensor, 10**6, 10**6)])
def test_pt_that_asks_for_memory(worker: Worker, tmp_path: Path, call: Call) -> None:
    assert "refused, because" in worker.refuses(checkpoint(tmp_path / "model.pt", recipe=call))


def test_pt_with_lists_that_double_at_every_level(worker: Worker, tmp_path: Path) -> None:
    found: list[Any] = ["x"]
    for _ in range(60):
        found = [found, found]
    assert "'recipe' is no plain JSON value" in worker.refuses(checkpoint(tmp_path / "model.pt", recipe=found))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"width": 10**9},
        {"blocks_per_stage": [10**7], "strides": [1]},
        {"width": -1},
        {"levels": 10**18},
        {"classes": 2**62},
    ],
)
def test_pt_that_asks_for_an_absurd_network(worker: Worker, tmp_path: Path, kwargs: dict[str, Any]) -> None:
    worker.refuses(checkpoint(tmp_path / "model.pt", arch_kwargs=SMALL | kwargs))


@pytest.mark.parametrize("shape", [[10**9, 10**9, 10**9], [1, 2**40, 2**40], [0, 8, 8], [1, -8, 8], []])
def test_pt_that_asks_for_an_absurd_input(worker: Worker, tmp_path: Path, shape: list[int]) -> None:
    worker.refuses(checkpoint(tmp_path / "model.pt", input_shape=shape))


@pytest.mark.parametrize("frames", [10**9, -1, 0])
def test_pt_that_asks_for_an_absurd_recording(tmp_path: Path, frames: int) -> None:
    path = checkpoint(tmp_path / "model.pt", dataset="event-digits", frames=frames)
    with pytest.raises(UserError, match=rf"model\.pt: its metadata want {frames} frames of event-digits"):
        api.compile_file(path)


@pytest.mark.parametrize("suffix", [".pt", ".pt2", ".safetensors", ".npz"])
def test_a_pipe(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    os.mkfifo(path)
    assert "is a device or a pipe" in worker.refuses(path)


# --- safetensors --------------------------------------------------------------------------------------------------


def safetensors(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({}, 2**60),
        ({}, 2**64 - 1),
        ({"weight": entry([HUGE], 0, 4 * HUGE)}, None),
        ({"weight": entry([HUGE], 0, 8)}, None),
        ({"weight": entry([2**32, 2**32, 2**32], 0, 0)}, None),
        ({"weight": entry([2], 2**60, 2**60 + 8)}, None),
        ({"weight": entry([2], 0, 8), "bias": entry([2], 0, 8)}, None),
        ({"weight": entry([-2], 0, 8)}, None),
        (b'{"a":' + b"[" * 100_000, None),
    ],
)
def test_safetensors_that_promise_what_they_have_not(
    worker: Worker, tmp_path: Path, header: Any, length: int | None
) -> None:
    path = safetensors(tmp_path / "model.safetensors", header, bytes(8), length)
    assert "this is not a safetensors file, or it is damaged" in worker.refuses(path, arch="resnet")


def integer(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A quantized network whose description was changed, with a digest that fits."""
    graph = quantize(frontend.load(checkpoint(path.with_name("float.pt"))).graph)
    document, tensors = graph_io.to_document(graph)
    content = {"graph": json.loads(json.dumps(document)), "class_names": [], "metadata": {}, "quantization": {}}
    change(content)
    text = json.dumps(content)
    metadata = {"format": "snn2chip-integer-1", "model": text, "digest": quantized_file._digest(text, tensors)}
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, metadata)
    return path


def node(content: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in content["graph"]["nodes"] if entry["op"] == kind)
    return found


def test_a_quantized_network_is_opened(worker: Worker, tmp_path: Path) -> None:
    answer = worker.open(integer(tmp_path / "model.safetensors", lambda content: None))
    assert answer.outcome == "opened", answer.text


@pytest.mark.parametrize(
    "change",
    [
        lambda content: node(content, "Conv2d").update(op="os.system"),
        lambda content: node(content, "Conv2d")["attributes"].update(padding=[10**9, 10**9]),
        lambda content: node(content, "Input")["attributes"].update(shape=[1, 2**30, 2**30]),
        lambda content: node(content, "MultiLevelIF")["attributes"].update(levels=2**62),
        lambda content: content["graph"].update(steps=10**9),
        lambda content: content["graph"].update(nodes=[]),
        lambda content: content.update(metadata={"accuracy": float("nan")}),
        lambda content: content.update(class_names="abc"),
    ],
)
def test_quantized_networks_that_are_absurd(
    worker: Worker, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    worker.refuses(integer(tmp_path / "model.safetensors", change))


@pytest.mark.parametrize("arch", ["os:mkdir", "os:system", "builtins:eval"])
def test_a_file_beside_weights_cannot_choose_code(worker: Worker, tmp_path: Path, sentinel: Path, arch: str) -> None:
    path = safetensors(tmp_path / "model.safetensors", {"weight": entry([2], 0, 8)}, bytes(8))
    kwargs = {"path": str(sentinel), "command": f"mkdir {sentinel}", "source": f"import os; os.mkdir('{sentinel}')"}
    (tmp_path / "arch.json").write_text(json.dumps({"arch": arch, "arch_kwargs": kwargs, "input_shape": [1, 8, 8]}))
    assert "Unknown architecture" in worker.refuses(path)


def test_an_endless_file_beside_weights(worker: Worker, tmp_path: Path) -> None:
    path = safetensors(tmp_path / "model.safetensors", {"weight": entry([2], 0, 8)}, bytes(8))
    (tmp_path / "arch.json").symlink_to("/dev/zero")
    with pytest.raises(AssertionError):  # the sentence names the other file
        worker.refuses(path)
    assert "arch.json: this is a device or a pipe" in worker.open(path).text


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_flipped_bits_never_end_in_anything_but_a_sentence(worker: Worker, tmp_path: Path, suffix: str) -> None:
    path = checkpoint(tmp_path / "model.pt") if suffix == ".pt" else integer(tmp_path / "model.safetensors", id)
    whole, rng, outcomes = path.read_bytes(), np.random.default_rng(0), set()
    for _ in range(60):
        spoilt = bytearray(whole)
        for place in rng.integers(len(whole), size=4):
            spoilt[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        answer = worker.open(path)
        outcomes.add(answer.outcome)
        assert answer.outcome != "fell", answer.text
        assert answer.seconds < SECONDS
    assert "refused" in outcomes


# --- npz ----------------------------------------------------------------------------------------------------------


def npy(shape: tuple[int, ...], data: bytes = b"", descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    return path


@pytest.mark.parametrize("shape", [(HUGE,), (2**40, 2**40), (1, 1, 2**31, 2**31)])
def test_npz_with_a_shape_without_data(worker: Worker, tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert "promises" in worker.refuses(npz(tmp_path / "x.npz", npy(shape, bytes(64))))
    (tmp_path / "x.npy").write_bytes(npy(shape, bytes(64)))
    assert "promises" in worker.refuses(tmp_path / "x.npy")


def test_npz_that_expands(worker: Worker, tmp_path: Path) -> None:
    head = npy((64 * BLOCK,))
    path = zip_archive(tmp_path / "x.npz", "x.npy", deflated(head, 64), len(head) + 64 * BLOCK)
    assert path.stat().st_size < 2**21
    assert "would expand to" in worker.refuses(path)


def test_npz_that_hides_how_it_expands(worker: Worker, tmp_path: Path) -> None:
    """Its table of contents says 64 bytes; the stream holds a gigabyte."""
    head = npy((64,))
    path = zip_archive(tmp_path / "x.npz", "x.npy", deflated(head, 64), len(head) + 64)
    assert "cannot be read" in worker.refuses(path)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_npz_that_runs_code(worker: Worker, tmp_path: Path, sentinel: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    evil = np.array([Call(os.mkdir, str(sentinel))], dtype=object)
    np.savez(path, x=evil) if suffix == ".npz" else np.save(path, evil, allow_pickle=True)
    assert "holds Python objects" in worker.refuses(path)


def test_npz_with_a_header_that_is_an_expression(worker: Worker, tmp_path: Path, sentinel: Path) -> None:
    worker.refuses(npz(tmp_path / "x.npz", npy((1,), b"x", f"__import__('os').mkdir({str(sentinel)!r})")))
    worker.refuses(npz(tmp_path / "x.npz", npy((1,), b"x", "'" + "(" * 5000 + "'")))
