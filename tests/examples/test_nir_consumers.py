"""The NIR example as a user runs it: exact in what is installed, and a sentence for what is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "nir_consumers" / "open_everywhere.py"


def test_the_digits_network_is_the_same_everywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--samples", "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert list(said) == ["nirtorch", "norse", "sinabs", "snntorch", "spikingjelly"]
    assert said["nirtorch"] == said["norse"]
    assert said["nirtorch"].startswith("0 of 200 logits differ; ")
    for name in ("sinabs", "snntorch", "spikingjelly"):
        assert said[name] == said["norse"] or said[name].endswith(f"pip install --upgrade {name}")
