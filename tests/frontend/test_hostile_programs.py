"""``.pt2`` files made to run code, to read other files, or to fill the memory: each is refused in one sentence.

What a test adds to the file of an ordinary network, `torch.export.load` would act on: some of it is shown to.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snn2chip.errors import UserError
from snn2chip.frontend.readers.program_file import read_program
from tests.frontend.worker import Worker

MODEL, INPUTS = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes = torch.clamp(torch.floor(self.norm(self.conv(x)) * torch.tensor(2.0)), 0, 4)
        result: Tensor = self.head(spikes.flatten(1))
        return result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary file, with a batch size that is not fixed."""
    path = tmp_path_factory.mktemp("programs") / "model.pt2"
    batch = {0: torch.export.Dim("batch")}
    torch.export.save(torch.export.export(Network().eval(), (torch.zeros(2, 1, 4, 4),), dynamic_shapes=(batch,)), path)
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "model.pt2"))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def put(path: Path, contents: dict[str, bytes]) -> Path:
    """Write members, new ones or others than there were."""
    contents = members(path) | contents
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"model/{name}", content)
    return path


def edited(path: Path, member: str, change: Callable[[Any], object]) -> Path:
    """Change the JSON of a member."""
    document = json.loads(members(path)[member])
    change(document)
    return put(path, {member: json.dumps(document).encode()})


def code(sentinel: Path) -> str:
    return f"__import__('os').mkdir({str(sentinel)!r})"


class Call:
    """Pickles as a call of os.mkdir."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.sentinel),)


def pickled(sentinel: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save((Call(sentinel),), buffer)
    return buffer.getvalue()


def expressions(document: Any) -> list[Any]:
    """Every shape in a document that is not just a number."""
    found, waiting = [], [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and "expr_str" in value:
            found.append(value)
        waiting.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else [])
    return found


def renamed(document: Any, old: str, new: str) -> Any:
    """A document with another name for a value."""
    if isinstance(document, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in document.items()}
    if isinstance(document, list):
        return [renamed(value, old, new) for value in document]
    return new if document == old else document


def test_an_ordinary_program_is_read_as_torch_reads_it(path: Path) -> None:
    program, expected = read_program(path), torch.export.load(path)
    images = torch.randn(5, 1, 4, 4)
    assert torch.equal(program.module()(images), expected.module()(images))
    assert [str(node.meta["nn_module_stack"]) for node in program.graph.nodes if node.op == "call_function"] == [
        str(node.meta["nn_module_stack"]) for node in expected.graph.nodes if node.op == "call_function"
    ]


def test_an_ordinary_program_needs_little_memory(worker: Worker, path: Path) -> None:
    answer = worker.open(path, steps=1)
    assert answer.outcome == "opened", answer


def by_pickle(path: Path, sentinel: Path) -> None:
    put(path, {INPUTS: pickled(sentinel)})


def by_expression(path: Path, sentinel: Path) -> None:
    edited(path, MODEL, lambda document: [found.update(expr_str=code(sentinel)) for found in expressions(document)])


def by_name(path: Path, sentinel: Path) -> None:
    document = renamed(json.loads(members(path)[MODEL]), "x", f"x={code(sentinel)}")
    put(path, {MODEL: json.dumps(document).encode()})


@pytest.mark.parametrize("attack", [by_pickle, by_expression, by_name])
def test_torch_itself_would_run_it(path: Path, tmp_path: Path, attack: Callable[[Path, Path], None]) -> None:
    """The attacks are real: without our check they work."""
    sentinel = tmp_path / "executed"
    attack(path, sentinel)
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.suppress(Exception):  # code that has run may leave things in a state that torch complains of
            torch.export.load(path)
    finally:
        logging.disable(logging.NOTSET)
    assert sentinel.exists()


def test_sample_inputs_that_run_code(worker: Worker, path: Path, sentinel: Path) -> None:
    assert f"{INPUTS}: refused, because it holds pickled" in worker.refuses(put(path, {INPUTS: pickled(sentinel)}))


@pytest.mark.parametrize("config", [WEIGHTS, CONSTANTS])
def test_pickled_tensors_that_run_code(worker: Worker, path: Path, sentinel: Path, config: str) -> None:
    def change(document: Any) -> None:
        entry = next(iter(document["config"].values()))
        entry["use_pickle"] = True
        contents[f"{Path(config).parent}/{entry['path_name']}"] = pickled(sentinel)

    contents: dict[str, bytes] = {}
    edited(path, config, change)
    assert "is no plain tensor" in worker.refuses(put(path, contents))


@pytest.mark.parametrize("name", ["opaque_obj_0", "custom_obj_0"])
def test_objects_that_run_code(worker: Worker, path: Path, sentinel: Path, name: str) -> None:
    def change(document: Any) -> None:
        document["config"]["object"] = next(iter(document["config"].values())) | {"path_name": name, "use_pickle": True}

    edited(path, CONSTANTS, change)
    path = put(path, {f"data/constants/{name}": pickle.dumps(Call(sentinel))})
    assert f"its member 'data/constants/{name}' is no part of a plain network" in worker.refuses(path)


@pytest.mark.parametrize("name", ["data/aotinductor/model/model.so", "data/weights/model.pt", "models/other.json"])
def test_libraries_and_older_members(worker: Worker, path: Path, name: str) -> None:
    assert f"its member {name!r} is no part of a plain network" in worker.refuses(put(path, {name: b"\x7fELF"}))


@pytest.mark.parametrize("text", ["CODE", "9**9**9**9**9", "Symbol('s0').__class__", "1" * 400 + "x"])
def test_shapes_that_are_evaluated(worker: Worker, path: Path, sentinel: Path, text: str) -> None:
    def change(document: Any) -> None:
        for found in expressions(document):
            found["expr_str"] = text.replace("CODE", code(sentinel))

    edited(path, MODEL, change)
    assert "has a shape that is neither a number nor" in worker.refuses(path)


@pytest.mark.parametrize(
    "target",
    [
        "torch.serialization.os.system",
        "torch.ops.load_library",
        "torch.hub.load",
        "_operator.attrgetter",
        "math.factorial",
        "#namespace:op",
        "torch.ops.aten.add.Tensor.__globals__",
    ],
)
def test_functions_by_any_name(worker: Worker, path: Path, target: str) -> None:
    edited(path, MODEL, lambda document: document["graph_module"]["graph"]["nodes"][0].update(target=target))
    assert "calls what is none of PyTorch's own operators" in worker.refuses(path)


def test_names_that_are_compiled(worker: Worker, path: Path, sentinel: Path) -> None:
    """torch writes a Python function with the names of all values, and runs its definition."""
    by_name(path, sentinel)
    assert "by what is no identifier" in worker.refuses(path)


def test_argument_names_that_are_compiled(worker: Worker, path: Path, sentinel: Path) -> None:
    def change(document: Any) -> None:
        document["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [f"x={code(sentinel)}"]

    edited(path, MODEL, change)
    assert "by what is no identifier" in worker.refuses(path)


@pytest.mark.parametrize("name", ['conv.a"), __import__("os").mkdir("x")', "__class__.weight", "conv..weight"])
def test_paths_that_are_compiled(worker: Worker, path: Path, name: str) -> None:
    def change(document: Any) -> None:
        document["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = name

    edited(path, MODEL, change)
    assert "by what is no dotted path" in worker.refuses(path)


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        ("builtins.dict", json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "y"}])),
        ("collections.defaultdict", json.dumps({"default_factory_module": "os", "default_factory_name": "system"})),
        ("collections.namedtuple", json.dumps("os")),
    ],
)
def test_trees_that_import(worker: Worker, path: Path, kind: str, context: str) -> None:
    tree = json.dumps([1, {"type": kind, "context": context, "children_spec": []}])

    def change(document: Any) -> None:
        document["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = tree

    edited(path, MODEL, change)
    assert "takes or returns more than tensors" in worker.refuses(path)


def test_a_tensor_in_another_file(worker: Worker, path: Path) -> None:
    def change(document: Any) -> None:
        document["config"]["conv.weight"]["path_name"] = "../../../../etc/passwd"

    edited(path, WEIGHTS, change)
    assert "is no plain tensor" in worker.refuses(path)


@pytest.mark.parametrize(
    ("sizes", "strides", "offset", "empty"),
    [
        ([10**15], [1], 0, False),
        ([10**12], [1], 0, True),
        ([10**9, 10**6], [0, 0], 0, False),
        ([4], [1], 10**6, False),
        ([4], [-1], 0, False),
        ([-4], [1], 0, False),
        ([4], [2**63], 0, False),
    ],
)
def test_tensors_that_show_more_than_there_is(
    worker: Worker, path: Path, sizes: list[int], strides: list[int], offset: int, empty: bool
) -> None:
    def change(document: Any) -> None:
        entry = document["config"]["conv.bias"]
        entry["tensor_meta"].update(
            sizes=[{"as_int": size} for size in sizes],
            strides=[{"as_int": stride} for stride in strides],
            storage_offset={"as_int": offset},
        )
        if empty:
            contents[f"data/weights/{entry['path_name']}"] = b""

    contents: dict[str, bytes] = {}
    edited(path, WEIGHTS, change)
    assert "'conv.bias'" in worker.refuses(put(path, contents))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"graph_module": ' + b"[" * 100_000, b"\xff\xfe"])
@pytest.mark.parametrize("member", [MODEL, WEIGHTS])
def test_json_that_is_none(worker: Worker, path: Path, member: str, content: bytes) -> None:
    worker.refuses(put(path, {member: content}))


@pytest.mark.parametrize("key", ["as_graph", "as_custom_obj", "as_operator", "as_string_to_argument"])
def test_arguments_that_no_network_needs(worker: Worker, path: Path, key: str) -> None:
    def change(document: Any) -> None:
        document["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {key: {"name": "x"}}

    edited(path, MODEL, change)
    assert "holds a subgraph, an object or a token" in worker.refuses(path)


def test_weights_that_are_not_finite(path: Path) -> None:
    contents = members(path)
    put(path, {"data/weights/weight_0": b"\xff" * len(contents["data/weights/weight_0"])})
    with pytest.raises(UserError, match=r"tensor 'conv\.weight' holds NaN"):
        read_program(path)
