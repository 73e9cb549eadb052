"""The event-digits examples as a user runs them, on a few recordings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "event_digits"


def run(*arguments: str | Path, cwd: Path) -> str:
    line = [sys.executable, *map(str, arguments)]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_graded_spikes_at_one_step_beside_binary_ones_at_ten(tmp_path: Path) -> None:
    shown = run(
        EXAMPLES / "compare.py", "--samples", "24", "--seeds", "0", "--json", tmp_path / "figures.json", cwd=tmp_path
    )
    assert "Sparse, N = 4, T = 1" in shown
    assert "Recordings of a simulated sensor" in shown
    graded, binary = json.loads((tmp_path / "figures.json").read_text()).values()
    assert graded["accuracy, %"][0] > 85
    assert binary["accuracy, %"][0] > 85
    assert graded["steps"][0] + 9 == binary["steps"][0]
    for figure in ("events", "synaptic operations", "neuron updates", "dynamic energy, uJ: nominal"):
        assert 0 < graded[figure][0] < binary[figure][0]


def test_the_pictures_are_drawn(tmp_path: Path) -> None:
    run(EXAMPLES / "pictures.py", "recording", tmp_path / "new" / "recording.png", cwd=tmp_path)
    assert (tmp_path / "new" / "recording.png").read_bytes().startswith(b"\x89PNG")
    for dataset, labels in (
        ("digits", ("sparse-n4-t1", "binary-t4")),
        ("event-digits", ("sparse-n4-t1", "binary-t10")),
    ):
        (tmp_path / "logs" / dataset).mkdir(parents=True)
        for label in labels:
            log = "epoch,train_loss,validation_accuracy\n0,2.3,0.1\n1,1.5,0.6\n"
            (tmp_path / "logs" / dataset / f"{label}-seed0.pt.log.csv").write_text(log)
    run(EXAMPLES / "pictures.py", "curves", tmp_path / "curves.svg", tmp_path / "logs", cwd=tmp_path)
    drawn = (tmp_path / "curves.svg").read_text()
    assert "</svg>" in drawn
    assert "metadata" not in drawn
