"""Model files are hostile: each bad one gets one sentence, and nothing in it runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snn2chip import frontend, nn
from snn2chip.errors import UserError

SMALL: dict[str, Any] = {
    "width": 4,
    "blocks_per_stage": [1],
    "strides": [1],
    "in_channels": 1,
    "classes": 3,
    "input_scale": 1 / 16,
}


def save_small(path: Path, **changes: Any) -> Path:
    model = nn.build("resnet", SMALL)
    return nn.save(model, path, input_shape=[1, 8, 8], input_largest=16, **changes)


def test_reads_what_save_wrote(tmp_path: Path) -> None:
    checkpoint = frontend.read(save_small(tmp_path / "model.pt", class_names=["a", "b", "c"]))
    assert checkpoint.input_shape == (1, 8, 8)
    assert checkpoint.largest == 16
    assert checkpoint.metadata["class_names"] == ["a", "b", "c"]
    assert not checkpoint.model.training


class Exploit:
    """Pickles as a call of os.mkdir: a harmless stand-in for any command."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.sentinel),)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["alone", "in metadata"])
def test_a_pickle_that_would_execute_code_is_refused_and_does_not_run(tmp_path: Path, place: str, legacy: bool) -> None:
    sentinel, path = tmp_path / "executed", tmp_path / "evil.pt"
    content = torch.load(save_small(tmp_path / "model.pt"), weights_only=True)
    evil: Any = Exploit(sentinel) if place == "alone" else content | {"class_names": Exploit(sentinel)}
    torch.save(evil, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"evil\.pt: refused, because it holds pickled objects"):
        frontend.read(path)
    assert not sentinel.exists()


def test_a_plain_pickle_that_would_execute_code_does_not_run(tmp_path: Path) -> None:
    sentinel, path = tmp_path / "executed", tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(Exploit(sentinel)))
    with pytest.raises(UserError, match=r"evil\.pkl"):
        frontend.read(path)
    assert not sentinel.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match=r"module\.pt: refused.*snn2chip\.nn\.save"):
        frontend.read(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a PyTorch checkpoint"),
        (b"hello, world\n" * 100, "not a PyTorch checkpoint"),
        (bytes(range(256)) * 64, "not a PyTorch checkpoint"),
        (b"\x89HDF\r\n\x1a\n" + bytes(1000), "not a PyTorch checkpoint"),
    ],
)
def test_not_a_model(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "thing.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"thing\.pt: .*{sentence}"):
        frontend.read(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pt: no such file"):
        frontend.read(tmp_path / "nowhere.pt")
    with pytest.raises(UserError, match="this is a folder"):
        frontend.read(tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, kept: float) -> None:
    path = save_small(tmp_path / "model.pt")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(UserError, match=r"model\.pt: .*damaged|model\.pt: this is not a PyTorch checkpoint"):
        frontend.read(path)


def test_zip_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "archive.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing to see")
    with pytest.raises(UserError, match=r"archive\.pt: this is not a PyTorch checkpoint"):
        frontend.read(path)


def test_foreign_state_dict_names_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(UserError, match=r"foreign\.pt: .*snn2chip\.nn\.save"):
        frontend.read(path)


def test_other_format_version(tmp_path: Path) -> None:
    path = tmp_path / "newer.pt"
    torch.save({"format": "snn2chip-model-9"}, path)
    with pytest.raises(UserError, match="its format is 'snn2chip-model-9'"):
        frontend.read(path)


def edited(tmp_path: Path, **changes: Any) -> Path:
    path = save_small(tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    content.update(changes)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    state = nn.build("resnet", SMALL).state_dict()
    state["head.weight"][1, 2] = value
    with pytest.raises(UserError, match=r"tensor 'head\.weight' holds NaN or infinite"):
        frontend.read(edited(tmp_path, state_dict=state))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arch": "transformer"}, "Unknown architecture 'transformer'"),
        ({"arch_kwargs": {"colour": "red"}}, "does not take these arch_kwargs"),
        ({"arch_kwargs": SMALL | {"width": 5}}, "weights do not fit"),
        ({"arch_kwargs": 7}, "arch_kwargs are no dictionary"),
        ({"input_shape": "wide"}, "malformed"),
        ({"input_shape": {1: 0, 8: 0, 9: 0}}, "'input_shape' or 'input_largest' is malformed, no whole numbers"),
        ({"input_shape": "188"}, "'input_shape' or 'input_largest' is malformed, no whole numbers"),
        ({"input_shape": [1, 8.9, 8]}, "'input_shape' or 'input_largest' is malformed, no whole numbers"),
        ({"input_largest": 15.5}, "'input_shape' or 'input_largest' is malformed, no whole numbers"),
        ({"state_dict": {}}, "not a dictionary of tensors"),
        ({"state_dict": {"head.weight": 3}}, "not a dictionary of tensors"),
    ],
)
def test_malformed_content(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=rf"model\.pt: .*{sentence}"):
        frontend.read(edited(tmp_path, **changes))


def with_head(tmp_path: Path, change: Callable[[Tensor], Tensor]) -> Path:
    """A file whose network's last weights went through `change`."""
    state = nn.build("resnet", SMALL).state_dict()
    return edited(tmp_path, state_dict=state | {"head.weight": change(state["head.weight"])})


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.int8])
def test_weights_of_uncommon_types_are_read_as_the_numbers_that_they_are(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = torch.arange(12).reshape(3, 4).to(dtype)
    read = frontend.read(with_head(tmp_path, lambda _: weights)).model.state_dict()["head.weight"]
    torch.testing.assert_close(read, weights.to(torch.float32), rtol=0, atol=0)


def test_weights_that_are_no_numbers_of_their_own_are_named(tmp_path: Path) -> None:
    """Two values of 4 bits lie in each element."""
    path = with_head(tmp_path, lambda weight: weight.to(torch.uint8).view(torch.float4_e2m1fn_x2))
    with pytest.raises(
        UserError, match=r"tensor 'head\.weight' is of type torch\.float4_e2m1fn_x2: save it as float32"
    ):
        frontend.read(path)


def test_of_two_tensors_for_one_weight_neither_is_lost(tmp_path: Path) -> None:
    """`torch.compile` puts a prefix in front of a name; without it, two names are the same."""
    state = nn.build("resnet", SMALL).state_dict()
    path = edited(tmp_path, state_dict=state | {"_orig_mod.head.weight": state["head.weight"] + 1})
    with pytest.raises(UserError, match=r"lacks '_orig_mod\.head\.weight'"):
        frontend.read(path)


def test_what_the_file_asks_for_is_not_allocated_before_it_fits(tmp_path: Path) -> None:
    path = save_small(tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    torch.save({**content, "arch_kwargs": {**content["arch_kwargs"], "width": 10**6}}, path)  # 36 TB of weights
    with pytest.raises(UserError, match="width is 1000000: it must be a whole number"):
        frontend.read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Tensor.to_sparse, "no plain tensors, numbers or texts .'torch._utils._rebuild_sparse_tensor'"),
        (lambda weight: weight.to(torch.complex64), r"not a dictionary of tensors \(dense, real\): 'head\.weight'"),
        (lambda weight: weight[0, :1].expand(3, 10**15), r"its tensors show \d+ bytes but store \d+"),
    ],
)
def test_tensors_that_are_not_dense_and_real_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], sentence: str
) -> None:
    path = save_small(tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["head.weight"] = change(content["state_dict"]["head.weight"])
    torch.save(content, path)
    with pytest.raises(UserError, match=sentence):
        frontend.read(path)


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
def test_metadata_that_json_cannot_hold_is_named(tmp_path: Path, value: Any) -> None:
    path = save_small(tmp_path / "model.pt", accuracy=value)
    with pytest.raises(UserError, match="its 'accuracy' is no plain JSON value"):
        frontend.read(path)


def test_metadata_come_as_json_would_give_them_back(tmp_path: Path) -> None:
    checkpoint = frontend.read(save_small(tmp_path / "model.pt", per_class={10: 0.5, 2: 0.25}))
    assert checkpoint.metadata["per_class"] == {"10": 0.5, "2": 0.25}


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"model\.pt: cannot be written"):
        save_small(tmp_path / "file" / "model.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
