"""People with a Lava environment of their own compose the network with their processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snn2chip
from snn2chip import interpreter
from snn2chip.exporters.lava import write
from snn2chip.graph import Array, Graph
from snn2chip.lava_environment import LavaEnvironment

#: A user's program: Lava's own ring buffers before and behind the network, Lava's own choice of models.
_PROGRAM = """
import sys
import numpy as np
from snn2chip.exporters.lava import load

network = load(sys.argv[1], batch=2)
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

if __name__ == "__main__":
    steps = network.graph.steps
    frames = np.load(sys.argv[2]).astype(np.int32)
    source = Source(data=np.repeat(np.moveaxis(frames, 0, -1), steps, axis=-1))
    sink = Sink(shape=network.output.shape, buffer=steps * frames.shape[0])
    source.s_out.connect(network.input)
    network.output.connect(sink.a_in)
    config = network.run_config() if sys.argv[4] == "ours" else Loihi2SimCfg(select_tag="fixed_pt")
    sink.run(RunSteps(num_steps=steps * frames.shape[0]), run_cfg=config)
    potential = network.stages["marked"].u_0.get()
    np.savez(sys.argv[3], logits=sink.data.get(), potential=potential)
    sink.stop()
"""


@pytest.mark.parametrize("config", ["ours", "plain"])
@pytest.mark.parametrize("kind", ["ordinary", "current"])
def test_it_runs_between_other_processes(
    request: pytest.FixtureRequest, residual_graph: Graph, images: Array, tmp_path: Path, config: str, kind: str
) -> None:
    fixture = "environment" if kind == "ordinary" else "current_environment"
    environment: LavaEnvironment = request.getfixturevalue(fixture)
    write(residual_graph, tmp_path / "lava")
    pairs = images[:4].reshape(2, 2, *images.shape[1:])  # two batches of two samples
    np.save(tmp_path / "x.npy", pairs)
    (tmp_path / "program.py").write_text(_PROGRAM)
    arguments = [str(tmp_path / name) for name in ("program.py", "lava", "x.npy", "out.npz")]
    root = str(Path(snn2chip.__file__).parent.parent)
    done = subprocess.run(
        [str(environment.python), *arguments, config],
        env={"PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = np.moveaxis(np.load(tmp_path / "out.npz")["logits"], -1, 0)  # [batches * T, 2, classes]
    want = interpreter.run(residual_graph, images[:4])
    assert np.array_equal(got.reshape(2, 2, 2, -1).swapaxes(1, 2).reshape(want.shape), want)
    assert np.load(tmp_path / "out.npz")["potential"].shape == (2, 5, 4, 4)


def test_importing_the_package_imports_no_lava() -> None:
    program = (
        "import sys, snn2chip.exporters.lava; print([name for name in sys.modules if name.split('.')[0] == 'lava'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
