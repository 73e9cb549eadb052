"""The examples of docs/nir-consumers.md, run as they stand; the command, and an older SpikingJelly."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snn2chip import api, cli, interpreter
from snn2chip.artifact import Samples
from snn2chip.graph import Array, Graph
from snn2chip.hw_models.chip import load_chip
from tests.exporters.nir_networks import images
from tests.peers.consumer_networks import KINDS
from tests.peers.consumers_document import DOCUMENT

_BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
_IN_ONE_STEP = KINDS[0].graph("conv skip")
_IN_FOUR_STEPS = KINDS[2].graph("conv skip")
_COUNT = 9


def _artifact(graph: Graph, folder: Path, forms: tuple[str, ...]) -> None:
    samples = Samples(images(graph, _COUNT), None)
    exported = api.write(api.Compiled(graph, "model", samples=samples), load_chip("loihi2"), folder, forms)
    said = {result.form: result.status for result in exported.certificate.results}
    assert [said[form] for form in forms] == ["EXACT"] * len(forms)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user of the page stands: above ``build/``."""
    place = tmp_path_factory.mktemp("user")
    _artifact(_IN_ONE_STEP, place / "build" / "model-loihi2", ("nir", "nir-compact", "nir-snntorch"))
    _artifact(_IN_FOUR_STEPS, place / "build" / "steps-loihi2", ("nir",))
    return place


def _logits(graph: Graph) -> Array:
    """Summed over the steps."""
    return interpreter.logits(graph, images(graph, _COUNT))


def test_the_page_has_examples_of_every_library() -> None:
    for library in (
        "snntorch.load",
        "snntorch.Leaky",
        "snntorch.import_nir",
        "norse.load",
        "IAFCell(",
        "import_from_nir",
    ):
        assert any(library in block for block in _BLOCKS), library


@pytest.mark.parametrize("block", _BLOCKS, ids=range(len(_BLOCKS)))
def test_an_example_gives_the_logits(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(compile(block, "docs/nir-consumers.md", "exec"), names)  # noqa: S102 - the page itself is under test
    logits = names["logits"]
    assert isinstance(logits, torch.Tensor)
    graph = _IN_FOUR_STEPS if "steps-loihi2" in block else _IN_ONE_STEP
    assert (logits.flatten(1).numpy() == _logits(graph)).all()


def test_the_command_prints_every_consumer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["consumers", str(folder / "build" / "model-loihi2"), "--json", str(folder / "found.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    columns = ["model.compact.nir (compact)", "model.nir (portable)", "model.snntorch.nir (snntorch)"]
    assert re.split(r"  +", lines[0]) == ["consumer", "version", *columns]
    by_name = {line.partition("  ")[0]: line for line in lines}
    for title in ("NIRTorch", "norse", "sinabs", "snnTorch", "SpikingJelly"):
        assert by_name[f"{title}, our node map"].split()[-3:] == ["exact"] * 3
    assert re.search(r"WRONG \[\d+\] +WRONG \[\d+\] +WRONG \[\d+\]$", by_name["norse, as it comes"])
    assert by_name["snnTorch, as it comes"].endswith("exact")
    found = json.loads((folder / "found.json").read_text())
    assert found["samples"] == _COUNT
    assert found["versions"]["sinabs"]
    assert found["consumers"]["spikingjelly stock"]["model.nir (portable)"] == {"verdict": "exact", "detail": ""}


def test_a_spikingjelly_that_is_too_old_is_named() -> None:
    """0.0.0.0.14 has no neuron that takes a threshold for each channel."""
    old = Path(sys.prefix) / "share" / "spikingjelly-0.0.0.0.14"
    done = subprocess.run(
        [sys.executable, "-c", "import snn2chip.interop.spikingjelly"],
        env={"PYTHONPATH": str(old), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: spikingjelly is needed and cannot be imported (cannot import name 'SimpleIFNode'"
    )
    assert last.endswith("pip install --upgrade spikingjelly")


@pytest.mark.parametrize("library", ["norse", "sinabs", "snntorch", "spikingjelly"])
def test_a_module_remembers_no_samples(library: str, folder: Path) -> None:
    """A batch of another size, and steps broken off in the middle, leave nothing behind."""
    module = importlib.import_module(f"snn2chip.interop.{library}").load(
        folder / "build" / "steps-loihi2" / "model.nir"
    )
    frames = torch.from_numpy(images(_IN_FOUR_STEPS, _COUNT)).float()
    with torch.no_grad():
        first = module(frames, None)[0]
        module(frames[:4], None)
        again, state = module(frames, None)
        second = module(frames, state)[0]
    assert (first == again).all()
    expected = interpreter.run(_IN_FOUR_STEPS, images(_IN_FOUR_STEPS, _COUNT))
    assert (second.flatten(1).numpy() == expected[:, 1]).all()
