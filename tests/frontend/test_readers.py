"""Model files of other people, as they come: wrapped, prefixed, with or without their architecture."""

from __future__ import annotations

import argparse
import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from snn2chip import frontend, interpreter
from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.frontend import ImportOptions
from snn2chip.frontend.readers.architecture import parse_keywords

SMALL: dict[str, Any] = {"width": 4, "blocks_per_stage": [1], "strides": [1], "in_channels": 1, "classes": 3}
OWN = ImportOptions(arch="resnet", arch_kwargs=SMALL, input_shape=(1, 8, 8), largest=16)

#: A package as somebody might have it in the folder where the command is given.
PACKAGE = """
from torch import nn
from snn2chip.nn import MultiLevelIF

class Net(nn.Module):
    def __init__(self, channels=4, bias=True, name="plain", sizes=(3,)):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(channels)
        self.neuron = MultiLevelIF(levels=4)
        self.head = nn.Linear(channels * 64, sizes[0])
        self.name = name

    def forward(self, x):
        return self.head(self.neuron(self.norm(self.conv(x))).flatten(1))

def nothing():
    return 7

def broken():
    raise ZeroDivisionError("never\\nagain")

def leaves():
    import sys
    sys.exit("usage: train.py --data DIR")

ready = Net()
number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package in the current folder, another one for every test."""
    name = f"net_of_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "models.py").write_text(PACKAGE)
    monkeypatch.chdir(tmp_path)
    return f"{name}.models"


def network() -> nn.Module:
    torch.manual_seed(0)
    return networks.build("resnet", SMALL).eval()


def logits(loaded: frontend.Loaded) -> Any:
    images = np.random.default_rng(0).integers(0, 17, (2, 1, 8, 8)).astype(np.uint8)
    return interpreter.run(loaded.graph, images)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = networks.save(
        network(), tmp_path_factory.mktemp("own") / "model.pt", input_shape=[1, 8, 8], input_largest=16
    )
    return logits(frontend.load(path))


def prefixed(prefix: str) -> Any:
    return OrderedDict((prefix + name, tensor) for name, tensor in network().state_dict().items())


def compiled_inside() -> Any:
    """As torch.compile leaves it where only a part was compiled."""
    return {name.replace("stages.", "stages._orig_mod."): t for name, t in network().state_dict().items()}


WRAPPINGS: dict[str, Callable[[], Any]] = {
    "plain": lambda: network().state_dict(),
    "state_dict": lambda: {"state_dict": network().state_dict(), "epoch": 3, "args": {"lr": 0.1}, "best": 0.5},
    "model": lambda: {"model": network().state_dict(), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "net": lambda: {"net": prefixed("module."), "acc": 91.5, "epoch": 7},
    "model_state_dict": lambda: {"model_state_dict": prefixed("_orig_mod."), "loss": 0.1},
    "in two wrappings": lambda: {"model": {"state_dict": prefixed("module._orig_mod.")}},
    "DataParallel": lambda: torch.nn.DataParallel(network()).state_dict(),
    "torch.compile inside": compiled_inside,
    "Lightning": lambda: {"state_dict": prefixed("net.model."), "pytorch-lightning_version": "2.0", "callbacks": {}},
    "parameters": lambda: dict(network().named_parameters()) | dict(network().named_buffers()),
}


@pytest.mark.parametrize("wrapping", sorted(WRAPPINGS))
def test_state_dicts_as_they_come(tmp_path: Path, wrapping: str, expected: Any) -> None:
    torch.save(WRAPPINGS[wrapping](), tmp_path / "model.pt")
    loaded = frontend.load(tmp_path / "model.pt", OWN)
    np.testing.assert_array_equal(logits(loaded), expected)
    assert loaded.metadata["source"]["arch"] == "resnet"
    assert (loaded.name, loaded.input_shape, loaded.largest, loaded.integer) == ("model", (1, 8, 8), 16, False)


def test_the_other_suffixes_of_torch(tmp_path: Path, expected: Any) -> None:
    torch.save(network().state_dict(), tmp_path / "model.pth.tar")
    np.testing.assert_array_equal(logits(frontend.load(tmp_path / "model.pth.tar", OWN)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(network().to(dtype).state_dict(), tmp_path / "model.pt")
    model = frontend.load(tmp_path / "model.pt", OWN).model
    assert model is not None
    assert {p.dtype for p in model.state_dict().values()} == {torch.float32, torch.int64}
    torch.testing.assert_close(model.state_dict(), network().to(dtype).float().state_dict())


def test_batch_norms_of_the_first_versions(package: str, tmp_path: Path) -> None:
    options = ImportOptions(arch=f"{package}:Net", input_shape=(1, 8, 8))
    torch.save(sys_net(package).state_dict(), tmp_path / "new.pt")
    old = {k: v for k, v in torch.load(tmp_path / "new.pt").items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pt")
    np.testing.assert_array_equal(*(logits(frontend.load(tmp_path / f"{n}.pt", options)) for n in ("new", "old")))


def sys_net(package: str, **kwargs: Any) -> nn.Module:
    import importlib

    sys.path.insert(0, str(Path.cwd()))
    try:
        model: nn.Module = importlib.import_module(package).Net(**kwargs)
    finally:
        sys.path.pop(0)
    return model.eval()


# --- --arch -------------------------------------------------------------------------------------------------------


def test_a_factory_in_the_current_folder(package: str, tmp_path: Path) -> None:
    model = sys_net(package, channels=5, bias=False, sizes=[7])
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pt")
    before = list(sys.path)
    kwargs = parse_keywords(["channels=5", "bias=false", "name=wide", "sizes=[7]"])
    loaded = frontend.load(tmp_path / "model.pt", ImportOptions(f"{package}:Net", kwargs, (1, 8, 8)))
    assert loaded.graph.signals[loaded.graph.output.name].shape == (7,)
    assert loaded.model is not None
    assert loaded.model.name == "wide"
    assert sys.path == before


def test_a_module_that_lies_ready(package: str, tmp_path: Path) -> None:
    torch.save(sys_net(package).state_dict(), tmp_path / "model.pt")
    assert frontend.load(tmp_path / "model.pt", ImportOptions(f"{package}:ready", input_shape=(1, 8, 8))).model


@pytest.mark.parametrize(
    ("arch", "sentence"),
    [
        ("nowhere.at_all:Net", r"nowhere\.at_all cannot be imported \(ModuleNotFoundError"),
        ("{}:Nets", "has no 'Nets'"),
        ("{}:number", "it is a int: name a class or function"),
        ("{}:nothing", "it returned a int: name one that returns a torch module"),
        ("{}:broken", r"calling it failed \(ZeroDivisionError: never again\)"),
        ("{}:leaves", r"calling it failed \(SystemExit: usage: train\.py"),
        ("transformer", "Unknown architecture 'transformer': it is none of resnet, "),
    ],
)
def test_factories_that_are_none(package: str, tmp_path: Path, arch: str, sentence: str) -> None:
    torch.save(network().state_dict(), tmp_path / "model.pt")
    with pytest.raises(UserError, match=sentence):
        frontend.load(tmp_path / "model.pt", ImportOptions(arch.format(package), input_shape=(1, 8, 8)))


def test_keywords_have_types() -> None:
    given = [
        "a=1",
        "b=-0.5",
        "c=true",
        "d=False",
        "e=text",
        "f=[1, 2]",
        'g={"h": null}',
        "i=",
        "j=1e3",
        'k="7"',
        "l=None",
    ]
    assert parse_keywords([*given, "m=NaN", "n=a=b"]) == {
        "a": 1,
        "b": -0.5,
        "c": True,
        "d": False,
        "e": "text",
        "f": [1, 2],
        "g": {"h": None},
        "i": "",
        "j": 1000.0,
        "k": "7",
        "l": None,
        "m": "NaN",
        "n": "a=b",
    }


@pytest.mark.parametrize(
    ("given", "sentence"), [(["a"], "name=value"), (["a b=1"], "name=value"), (["a=1", "a=2"], "twice")]
)
def test_keywords_that_are_none(given: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_keywords(given)


# --- what does not fit --------------------------------------------------------------------------------------------


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    state = dict(network().state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: changed(lambda s: s.pop("head.weight")), "which also has 'head.weight': check both"),
        (lambda: changed(lambda s: s.update(extra=torch.ones(1))), "which lacks 'extra': check both"),
        (
            lambda: changed(lambda s: s.update({"head.bias": torch.ones(4)})),
            r"other shapes belong to 'head.bias \[4\]'",
        ),
        (lambda: changed(lambda s: s.update(note="text")), "'note' is a str that is none"),
        (lambda: nn.Linear(2, 2).state_dict(), "which also has 'head.bias', .* and 14 more: check both"),
        (lambda: {"model": network().state_dict(), "net": network().state_dict()}, "holds 'model' and 'net'"),
        (lambda: [network().state_dict()], "it holds a list, no state_dict"),
        (dict, "not a dictionary of tensors"),
        (lambda: {"epoch": 3}, "'epoch' is a int that is none"),
        (lambda: changed(lambda s: s.update({"head.bias": torch.full((3,), torch.nan)})), "'head.bias' holds NaN"),
        (lambda: changed(lambda s: s.update({"stem.1.running_var": -torch.ones(4)})), "holds negative variances"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, content: Callable[[], Any], sentence: str) -> None:
    torch.save(content(), tmp_path / "model.pt")
    with pytest.raises(UserError, match=rf"model\.pt: .*{sentence}"):
        frontend.load(tmp_path / "model.pt", OWN)


def test_weights_without_a_network_or_a_shape(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"name it with --arch package\.module:factory and --input-shape C,H,W"):
        frontend.load(tmp_path / "model.pt")
    with pytest.raises(UserError, match="give --input-shape, such as 3,32,32"):
        frontend.load(tmp_path / "model.pt", ImportOptions("resnet", SMALL))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"arch": "resnet"}, "--arch"),
        ({"steps": 3}, "--steps"),
        ({"largest": 9}, "--input-largest"),
        ({"dt": 1.0}, "--dt"),
    ],
)
def test_options_without_effect(tmp_path: Path, options: dict[str, Any], flag: str) -> None:
    path = networks.save(network(), tmp_path / "model.pt", input_shape=[1, 8, 8])
    with pytest.raises(UserError, match=f"{flag} is not for this file"):
        frontend.load(path, ImportOptions(**options))
    assert frontend.load(path, ImportOptions(input_shape=(1, 12, 10))).input_shape == (1, 12, 10)


# --- checkpoints with more than tensors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "culprit"),
    [
        ({"args": argparse.Namespace(lr=0.1)}, r"'argparse\.Namespace'"),
        ({"best": np.float64(0.5)}, r"'numpy.*\.multiarray\.scalar'"),
        ({"path": Path("x")}, r"'pathlib\.\w+'"),
    ],
)
def test_culprits_are_named_and_what_to_do(tmp_path: Path, extra: dict[str, Any], culprit: str, expected: Any) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": network().state_dict(), **extra}, path)
    with pytest.raises(UserError, match=rf"{culprit}.*torch\.save\(model\.state_dict\(\), path\).*--allow-pickle"):
        frontend.load(path, OWN)
    trusted = ImportOptions("resnet", SMALL, (1, 8, 8), 16, allow_pickle=True)
    np.testing.assert_array_equal(logits(frontend.load(path, trusted)), expected)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"model": m, "epoch": 3}])
def test_pickled_modules_with_trust_alone(tmp_path: Path, wrap: Callable[[nn.Module], Any], expected: Any) -> None:
    path = tmp_path / "model.pt"
    torch.save(wrap(network()), path)
    with pytest.raises(UserError, match=r"'snn2chip\.nn\.\w+\.\w+', .*--allow-pickle if you trust"):
        frontend.load(path, ImportOptions(input_shape=(1, 8, 8)))
    loaded = frontend.load(path, ImportOptions(input_shape=(1, 8, 8), largest=16, allow_pickle=True))
    np.testing.assert_array_equal(logits(loaded), expected)
    assert loaded.metadata["source"]["pickled"] == "ResNet"


def test_a_pickled_module_whose_class_is_gone(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(sys_net(package), tmp_path / "model.pt")
    for name in [name for name in sys.modules if name.startswith(package.partition(".")[0])]:
        monkeypatch.delitem(sys.modules, name)
    assert frontend.load(tmp_path / "model.pt", ImportOptions(input_shape=(1, 8, 8), allow_pickle=True)).model
    for name in [name for name in sys.modules if name.startswith(package.partition(".")[0])]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"cannot be unpickled \(ModuleNotFoundError.*start snn2chip where the classes"):
        frontend.load(tmp_path / "model.pt", ImportOptions(input_shape=(1, 8, 8), allow_pickle=True))


# --- safetensors --------------------------------------------------------------------------------------------------


def test_safetensors_with_arch(tmp_path: Path, expected: Any) -> None:
    save_file(network().state_dict(), tmp_path / "model.safetensors")
    np.testing.assert_array_equal(logits(frontend.load(tmp_path / "model.safetensors", OWN)), expected)


def test_safetensors_with_a_file_beside_it(tmp_path: Path, expected: Any) -> None:
    save_file(network().state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"--arch package\.module:factory .* or put an arch\.json beside them"):
        frontend.load(tmp_path / "model.safetensors")
    header = {"arch": "resnet", "arch_kwargs": SMALL, "input_shape": [1, 8, 8], "input_largest": 16, "accuracy": 0.5}
    (tmp_path / "arch.json").write_text(json.dumps({**header, "class_names": ["a", "b", "c"]}))
    loaded = frontend.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(logits(loaded), expected)
    assert loaded.class_names == ("a", "b", "c")
    assert loaded.metadata == {"accuracy": 0.5}


@pytest.mark.parametrize("header", ["[]", "{", "{}", '{"arch": "resnet", "arch_kwargs": 3, "input_shape": [1, 8, 8]}'])
def test_a_file_beside_safetensors_that_says_nothing(tmp_path: Path, header: str) -> None:
    save_file(network().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "arch.json").write_text(header)
    with pytest.raises(UserError, match=r"arch\.json: |model\.safetensors: "):
        frontend.load(tmp_path / "model.safetensors")


def test_an_exported_program(package: str, tmp_path: Path) -> None:
    model = sys_net(package)
    torch.save(model.state_dict(), tmp_path / "net.pt")
    program = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "net.pt2")
    expected = frontend.load(tmp_path / "net.pt", ImportOptions(f"{package}:Net", {}, (1, 8, 8), 16))
    loaded = frontend.load(tmp_path / "net.pt2", ImportOptions(largest=16))
    np.testing.assert_array_equal(logits(loaded), logits(expected))
    with pytest.raises(UserError, match=r"net\.pt2: --arch is not for this file"):
        frontend.load(tmp_path / "net.pt2", ImportOptions(arch="resnet"))


def test_hdf5_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match=r"model\.h5: this is an HDF5 file: name it \.nir"):
        frontend.load(tmp_path / "model.h5")


@pytest.mark.parametrize(
    "options",
    [{"input_shape": (1, 2)}, {"input_shape": (0,)}, {"largest": 0}, {"largest": 256}, {"steps": 0}, {"dt": 0.0}],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="--"):
        ImportOptions(**options)
