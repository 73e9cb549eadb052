"""People with a Lava environment of their own compose the network with their processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snn2chip
from snn2chip import api, interpreter, zoo
from snn2chip.exporters.lava import write
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import Recorder
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.ops import SpikingNeuron
from tests.lava.test_timing import expected_potential

#: A user's program: Lava's own ring buffers before and behind the network, Lava's own choice of models.
_PROGRAM = """
import sys
import numpy as np
from snn2chip.exporters.lava import Records, load

config, timing = sys.argv[4:]
records = Records(3, {"marked": "marked.npy"}, {"marked": "potentials.npy"})
network = load(sys.argv[1], batch=2, timing=timing, records=records)
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

if __name__ == "__main__":
    frames = np.load(sys.argv[2]).astype(np.int32)
    source = Source(data=np.repeat(np.moveaxis(frames, 0, -1), network.graph.steps, axis=-1))
    steps = network.steps(4)
    sink = Sink(shape=network.output.shape, buffer=steps)
    source.s_out.connect(network.input)
    network.output.connect(sink.a_in)
    chosen = network.run_config() if config == "ours" else Loihi2SimCfg(select_tag="fixed_pt")
    sink.run(RunSteps(num_steps=steps - network.latency), run_cfg=chosen)
    potential = network.state("marked").get()
    sink.run(RunSteps(num_steps=network.latency), run_cfg=chosen) if network.latency else None
    np.savez(sys.argv[3], logits=sink.data.get()[..., network.latency:], potential=potential)
    sink.stop()
"""


@pytest.mark.parametrize("timing", ["algorithmic", "pipelined"])
@pytest.mark.parametrize(("kind", "config"), [("ordinary", "plain"), ("ordinary", "ours"), ("current", "plain")])
def test_it_runs_between_other_processes(
    request: pytest.FixtureRequest,
    residual_graph: Graph,
    images: Array,
    tmp_path: Path,
    kind: str,
    config: str,
    timing: str,
) -> None:
    fixture = "environment" if kind == "ordinary" else "current_environment"
    environment: LavaEnvironment = request.getfixturevalue(fixture)
    write(residual_graph, tmp_path / "lava")
    pairs = images[:4].reshape(2, 2, *images.shape[1:])  # two batches of two samples
    np.save(tmp_path / "x.npy", pairs)
    (tmp_path / "program.py").write_text(_PROGRAM)
    done = in_lavas_python(environment, tmp_path, "program.py", "lava", "x.npy", "out.npz", config, timing)
    assert done.returncode == 0, done.stderr
    got = np.moveaxis(np.load(tmp_path / "out.npz")["logits"], -1, 0)  # [batches * T, 2, classes]
    want = interpreter.run(residual_graph, images[:4])
    assert np.array_equal(got.reshape(2, 2, 2, -1).swapaxes(1, 2).reshape(want.shape), want)
    potentials = expected_potential(residual_graph, images[:4], "marked")
    kept = np.load(tmp_path / "potentials.npy")
    assert np.array_equal(kept, potentials[:3])
    recorder = Recorder()
    interpreter.run(residual_graph, images[:3], [recorder])
    assert np.array_equal(np.load(tmp_path / "marked.npy"), recorder.tensors["marked"])
    # In pipelined timing the layer is one step behind: the run was stopped after the first step of the last batch.
    last = -1 if timing == "algorithmic" else 0
    assert np.array_equal(np.load(tmp_path / "out.npz")["potential"], potentials[2:, last])


def test_importing_the_package_imports_no_lava() -> None:
    program = (
        "import sys, snn2chip.exporters.lava; print([name for name in sys.modules if name.split('.')[0] == 'lava'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


#: What the models declare on their ports, and a network between two files.
_FILES = """
import json, sys
from snn2chip.exporters.lava import load

network = load(sys.argv[1], batch=3, stages=int(sys.argv[4]), timing="pipelined")
from lava.magma.core.run_conditions import RunSteps

if __name__ == "__main__":
    steps = network.connect_files(sys.argv[2], sys.argv[3])
    first = next(iter(network.stages.values()))
    first.run(RunSteps(num_steps=steps), run_cfg=network.run_config(), compile_config={"pypy_channel_size": 2})
    first.stop()
    declared = {}
    for process, model in network.models.items():
        ports = [name for name in vars(model) if name.startswith(("in_", "out_"))]
        declared[process.name] = {name: getattr(model, name).precision for name in ports}
    print(json.dumps(declared))
"""


def test_it_runs_between_files_with_declared_payloads(
    environment: LavaEnvironment, residual_graph: Graph, images: Array, tmp_path: Path
) -> None:
    write(residual_graph, tmp_path / "lava")
    np.save(tmp_path / "x.npy", images)
    (tmp_path / "program.py").write_text(_FILES)
    done = in_lavas_python(environment, tmp_path, "program.py", "lava", "x.npy", "y.npy", "99")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "y.npy"), interpreter.run(residual_graph, images))
    declared = json.loads(done.stdout.splitlines()[-1])
    assert declared["if1"] == {"out_0": 3}  # 0..4
    assert declared["barrier"] == {"in_0": 3, "in_2": 3, "out_3": 3}


EXAMPLE = Path(__file__).parents[2] / "examples" / "lava_join" / "join.py"


@pytest.mark.parametrize("timing", ["algorithmic", "pipelined"])
def test_the_example_joins_a_trained_network_to_stock_processes(
    environment: LavaEnvironment, tmp_path: Path, timing: str
) -> None:
    compiled = api.compile_file(zoo.path("sparse-n4-t1"))
    assert compiled.samples is not None
    images, labels = compiled.samples.x[:6], compiled.samples.y
    assert labels is not None
    write(compiled.graph, tmp_path / "lava")
    np.savez(tmp_path / "samples.npz", x=images, y=labels[:6])
    (tmp_path / "alone").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "alone")
    arguments = ("--samples", "6", "--timing", timing, "--save", "out.npz")
    done = in_lavas_python(environment, tmp_path, "alone/join.py", ".", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"sample 0: class {labels[0]}, label {labels[0]}"
    found = np.load(tmp_path / "out.npz")
    assert np.array_equal(found["logits"], interpreter.logits(compiled.graph, images))
    neuron = compiled.graph.of_kind(SpikingNeuron)[0].name
    potentials = expected_potential(compiled.graph, images, neuron)[:, 0]
    assert np.array_equal(found["potentials"][:6, 0], potentials)


def test_the_example_says_what_is_missing(environment: LavaEnvironment, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "artifact").mkdir()
    cases = {
        ("nowhere",): "join.py: nowhere: no such folder: name one that `snn2chip export` made\n",
        ("artifact",): "join.py: artifact: it holds no samples: export the model with --calibration X.npz\n",
        ("full", "--samples", "9"): "join.py: --samples 9: full/samples.npz holds 2: give 1 to 2\n",
    }
    (tmp_path / "full").mkdir()
    np.savez(tmp_path / "full" / "samples.npz", x=np.zeros((2, 1, 8, 8), np.uint8))
    for arguments, sentence in cases.items():
        done = in_lavas_python(environment, tmp_path, "join.py", *arguments)
        assert (done.returncode, done.stderr) == (2, sentence)


def in_lavas_python(environment: LavaEnvironment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a user's program there, with the checkout on the path."""
    variables = {"PYTHONPATH": str(Path(snn2chip.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [str(environment.python), *arguments]
    return subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
