"""Opening our NIR files in other libraries: what is refused, and what becomes of one that hangs, crashes or is missing.

The verdicts themselves are measured by tests/peers, where all libraries are installed.
"""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
import time
import venv
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

from snn2chip import api, cli
from snn2chip.artifact import Samples
from snn2chip.errors import BackendError, UserError
from snn2chip.exporters import exporter
from snn2chip.hw_models.chip import load_chip
from snn2chip.interop import consumers, needs, nirtorch, norse
from snn2chip.interop.consumers import CONSUMERS, Consumer, Job, Outcome
from tests.exporters.ecosystem import hard_reset, held_up
from tests.exporters.nir_networks import conv_skip, identity_skip, images, perceptron

_BY_KEY = {consumer.key: consumer for consumer in CONSUMERS}
_NORSE = [_BY_KEY["norse stock"], _BY_KEY["norse map"]]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    found = {}
    for graph, name in (
        (identity_skip(), "identity"),
        (conv_skip(), "conv"),
        (hard_reset(2), "steps"),
        (perceptron(), "flat"),
    ):
        folder = tmp_path_factory.mktemp(name)
        exporter("nir").write(graph, folder)
        found[name] = consumers.job(folder / "model.nir", graph, images(graph, 40))
    return found


def test_one_library_as_it_comes_and_with_our_map(jobs: dict[str, Job]) -> None:
    identity = jobs["identity"]
    wide = Job(identity.path, identity.profile, np.tile(identity.frames, (1, 1, 2, 1, 1)), identity.expected)
    found = consumers.measure({**jobs, "changed": _changed(identity), "wide": wide}, _NORSE)
    stock, adapted = found["norse stock"], found["norse map"]
    assert [adapted[name] for name in jobs] == [Outcome("exact")] * len(jobs)
    assert stock["identity"] == stock["flat"] == Outcome("exact")
    assert stock["conv"].verdict == stock["steps"].verdict == "WRONG"
    for row in (stock, adapted):
        assert row["changed"] == Outcome("WRONG", "2 of 200 outputs differ")
        assert row["wide"].verdict == "refused"
        assert row["wide"].detail.startswith("RuntimeError: Given groups=1, weight of size")


def _changed(job: Job) -> Job:
    expected = job.expected.copy()
    expected[3, 0, 1] += 1
    expected[7, 0, 4] -= 1
    return Job(job.path, job.profile, job.frames, expected)


def _python(folder: Path, lines: str) -> Path:
    """An interpreter that has norse, does `lines` when it is handed jobs, and else what Python does."""
    script = folder / "python"
    versions = {"nir": "1", "nirtorch": "1", "norse": "1"}
    body = f"""\
        #!/bin/sh
        if [ $# -eq 1 ]; then echo '{json.dumps(versions)}'; exit; fi
        {lines}
        exec '{sys.executable}' "$@"
        """
    script.write_text(textwrap.dedent(body), encoding="utf-8")
    script.chmod(0o755)
    return script


def test_a_library_that_hangs_is_ended(jobs: dict[str, Job], tmp_path: Path) -> None:
    """With all that it started; the other files get a process of their own."""
    python = _python(tmp_path, f"sleep 600 & echo $! >> {tmp_path}/children; wait")
    two = {"first": jobs["identity"], "second": jobs["conv"]}
    found = consumers.measure(two, _NORSE[1:], python, seconds=0.5)["norse map"]
    assert found["first"] == Outcome("failed", "no answer within 1.5 s")
    assert found["second"] == Outcome("failed", "no answer within 1 s")
    children = [int(child) for child in (tmp_path / "children").read_text().split()]
    assert children
    deadline = time.monotonic() + 30  # a killed process goes when the system gets to it
    while any(map(_runs, children)):
        assert time.monotonic() < deadline, children


def _runs(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_a_library_that_crashes_costs_one_file(jobs: dict[str, Job], tmp_path: Path) -> None:
    python = _python(tmp_path, f"if [ ! -e {tmp_path}/once ]; then touch {tmp_path}/once; kill -SEGV $$; fi")
    two = {"first": jobs["identity"], "second": jobs["conv"]}
    found = consumers.measure(two, _NORSE[1:], python)["norse map"]
    assert found == {"first": Outcome("failed", "its process was ended by signal 11"), "second": Outcome("exact")}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def test_what_is_not_installed_is_named(jobs: dict[str, Job], bare: Path) -> None:
    found = consumers.measure({"conv": jobs["conv"]}, python=bare)
    assert set(found) == set(_BY_KEY)
    assert found["sinabs map"]["conv"] == Outcome("not installed", "pip install nir nirtorch sinabs")


def test_a_python_that_is_none_is_named(tmp_path: Path) -> None:
    for python in (tmp_path / "python", Path("/bin/true")):
        with pytest.raises(BackendError, match=f"^{python}: it does not run as a Python"):
            consumers.installed(python)


def test_the_command_names_what_to_install(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = conv_skip()
    compiled = api.Compiled(graph, "model", samples=Samples(images(graph, 5), None))
    folder = tmp_path / "model-loihi2"
    api.write(compiled, load_chip("loihi2"), folder, ["nir"])
    assert cli.main(["consumers", str(folder), "--python", str(bare), "--json", "-", "--samples", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["samples"], found["versions"], len(found["consumers"])) == (3, {}, len(CONSUMERS))
    assert cli.main(["consumers", str(folder), "--python", str(bare)]) == 0
    shown = capsys.readouterr().out
    assert "snnTorch, our node map               not installed [4]" in shown
    assert "[4] pip install nir nirtorch snntorch" in shown
    assert cli.main(["consumers", str(folder), "--samples", "0"]) == 2
    (folder / "model.nir").write_bytes(b"no NIR file")
    assert cli.main(["consumers", str(folder)]) == 2
    assert "model.nir" in capsys.readouterr().err


def test_an_artifact_without_nir_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.write(api.Compiled(held_up(3), "model"), load_chip("loihi2"), tmp_path / "refused", ["nir"])
    assert cli.main(["consumers", str(tmp_path / "refused")]) == 2
    assert "it has no NIR file: node " in (said := capsys.readouterr().err)
    assert "NIR's IF has no floor under its potential: the forms onnx and lava can" in said


def test_a_map_that_is_not_exact_is_a_failed_check() -> None:
    from snn2chip.commands.consumers import _broken

    exact = {consumer.key: {"model.nir": Outcome("exact")} for consumer in CONSUMERS}
    assert not _broken(exact)
    assert not _broken(exact | {"norse stock": {"model.nir": Outcome("WRONG", "5 of 5 outputs differ")}})
    assert _broken(exact | {"norse map": {"model.nir": Outcome("refused", "ValueError: no")}})


def test_files_of_others_are_named(tmp_path: Path) -> None:
    graph = identity_skip()
    (tmp_path / "text.nir").write_text("no HDF5")
    nir.write(tmp_path / "other.nir", nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.zeros(2))))
    for name in ("text.nir", "other.nir", "missing.nir"):
        with pytest.raises(UserError, match=f"{name}: nir cannot read it, or this project did not write it"):
            consumers.job(tmp_path / name, graph, images(graph, 2))


def test_a_library_that_is_missing_is_named_in_one_sentence() -> None:
    with pytest.raises(ImportError) as caught, needs("no_such_library"):
        importlib.import_module("no_such_library")
    said = "no_such_library is needed and cannot be imported (No module named 'no_such_library'): "
    assert str(caught.value) == said + "pip install --upgrade no_such_library"


def test_neurons_that_others_do_not_have_are_refused() -> None:
    ones, zeros = np.ones((2, 1, 1), np.float32), np.zeros((2, 1, 1), np.float32)
    for node in (nir.IF(r=2 * ones, v_threshold=ones, v_reset=zeros), nir.IF(r=ones, v_threshold=ones, v_reset=-ones)):
        with pytest.raises(ValueError, match="norse's neuron has no resistance and is reset to 0"):
            norse.NODE_MAP[nir.IF](node)
    for tau, leak in ((2e-4, 0.0), (1e-4, 1.0)):
        leaky = nir.LIF(tau=tau * ones, r=ones, v_leak=leak * ones, v_threshold=ones, v_reset=zeros)
        with pytest.raises(ValueError, match=r"a LIF whose tau is not 0\.0001"):
            nirtorch.NODE_MAP[nir.LIF](leaky)


def test_primitives_compute_nirs_equations() -> None:
    """I emits the potential that it adds up, Threshold fires above and not at, Scale multiplies, our LIF forgets."""
    halves = np.full((1, 1, 1), 1.5, np.float32)
    current = torch.tensor([1.0, 1.5, 2.0]).reshape(3, 1, 1, 1)
    integrator = nirtorch.I(nir.I(r=2 * halves))
    first, state = integrator(current)
    second, _ = integrator(current, state)
    assert first.flatten().tolist() == [3.0, 4.5, 6.0]
    assert second.flatten().tolist() == [6.0, 9.0, 12.0]
    assert nirtorch.Threshold(nir.Threshold(threshold=halves))(current).flatten().tolist() == [0.0, 0.0, 1.0]
    assert nirtorch.Scale(nir.Scale(scale=-halves))(current).flatten().tolist() == [-1.5, -2.25, -3.0]
    one, none = halves / halves, 0 * halves
    lif = nir.LIF(tau=one * np.float32(nirtorch.STEP), r=one, v_leak=none, v_threshold=halves, v_reset=none)
    for node_map in (nirtorch.NODE_MAP, norse.NODE_MAP):
        neuron = node_map[nir.LIF](lif)
        for _ in range(3):
            assert neuron(current).flatten().tolist() == [0.0, 0.0, 1.0]


def test_keys_are_unique() -> None:
    assert len(_BY_KEY) == len(CONSUMERS) == 10
    assert isinstance(_NORSE[0], Consumer)
