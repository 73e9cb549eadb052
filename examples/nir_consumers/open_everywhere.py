"""Writes the digits network as NIR and opens the file in every library that is installed: the same logits everywhere.

python examples/nir_consumers/open_everywhere.py --samples 50
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import torch

from snn2chip import api, interpreter, zoo
from snn2chip.exporters import exporter
from snn2chip.graph import Array

LIBRARIES = ("nirtorch", "norse", "sinabs", "snntorch", "spikingjelly")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50, help="how many handwritten digits (default 50)")
    count: int = parser.parse_args().samples
    compiled = api.compile_file(zoo.path("sparse-n4-t1"))
    assert compiled.samples is not None
    assert compiled.samples.y is not None
    images, classes = compiled.samples.x[:count], compiled.samples.y[:count]
    expected = interpreter.logits(compiled.graph, images)
    with tempfile.TemporaryDirectory() as folder:
        exporter("nir").write(compiled.graph, Path(folder))
        exact = [_opened(name, Path(folder) / "model.nir", images, expected, classes) for name in LIBRARIES]
    return 0 if all(exact) else 1


def _opened(name: str, path: Path, images: Array, expected: Array, classes: Array) -> bool:
    """Says what one library makes of the file; False where it differs."""
    try:
        library = importlib.import_module(f"snn2chip.interop.{name}")
    except ImportError as error:
        print(f"{name:<13} {error}")
        return True
    with torch.no_grad():
        logits, _ = library.load(path)(torch.from_numpy(images).float())
    found = logits.flatten(1).numpy()
    differing, right = int((found != expected).sum()), int((found.argmax(axis=1) == classes).sum())
    print(f"{name:<13} {differing} of {found.size} logits differ; {right} of {len(classes)} digits recognised")
    return differing == 0


if __name__ == "__main__":
    sys.exit(main())
