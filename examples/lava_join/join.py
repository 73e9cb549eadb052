"""An exported network between Lava's own processes: a ring buffer feeds it, another takes its logits, and a monitor
looks at the potentials of its first layer.

    python join.py ARTIFACT [--timing pipelined] [--samples 8]

Run it with the Python of a Lava environment of your own; docs/lava.md says how to make one. This file stands alone in
its folder: to find the model of a process, Lava's compiler executes the Python files beside the script.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import artifact
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.exporters.lava import load


def main() -> int:
    """Classify the first samples of an artifact, one after the other."""
    parser = argparse.ArgumentParser(description="Run an exported network between Lava's own processes.")
    parser.add_argument("artifact", type=Path, help="a folder that `snn2chip export` made")
    parser.add_argument("--timing", choices=("algorithmic", "pipelined"), default="algorithmic")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--save", type=Path, help="an .npz file for logits and potentials")
    options = parser.parse_args()
    try:
        samples = first_samples(options.artifact, options.samples)
        logits, potentials = run(options.artifact, samples.x, options.timing)
    except UserError as error:
        print(f"join.py: {error}", file=sys.stderr)
        return error.exit_code
    for image, scores in enumerate(logits):
        label = "" if samples.y is None else f", label {samples.y[image]}"
        print(f"sample {image}: class {scores.argmax()}{label}")
    print(f"potentials of the first layer: {potentials.min()} to {potentials.max()}")
    if options.save:
        np.savez(options.save, logits=logits, potentials=potentials)
    return 0


def first_samples(folder: Path, count: int) -> Samples:
    """The first `count` real inputs that travel with an artifact. Raises: UserError where it holds fewer."""
    path = folder / "samples.npz"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: name one that `snn2chip export` made")
    if not path.exists():
        raise UserError(f"{folder}: it holds no samples: export the model with --calibration X.npz")
    samples = artifact.read_samples(path)
    if not 1 <= count <= len(samples):
        raise UserError(f"--samples {count}: {path} holds {len(samples)}: give 1 to {len(samples)}")
    return Samples(samples.x[:count], None if samples.y is None else samples.y[:count])


def run(folder: Path, images: Any, timing: Any) -> tuple[Any, Any]:
    """Logits ``[S, classes]``, summed over the T steps, and the first layer's potentials after every step."""
    network = load(folder, timing=timing)
    from lava.magma.core.run_conditions import RunSteps
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.monitor.process import Monitor

    length, steps = network.graph.steps, network.steps(len(images))
    source = Source(data=frames(images, length, steps))
    sink = Sink(shape=network.output.shape, buffer=steps)
    monitor = Monitor()
    source.s_out.connect(network.input)
    network.output.connect(sink.a_in)
    monitor.probe(network.state(next(iter(network.stages))), steps)
    sink.run(RunSteps(num_steps=steps), run_cfg=network.run_config(select_tag="fixed_pt"))
    arrived = sink.data.get()[0, :, network.latency :]  # what left before the latency belongs to no sample
    (recorded,) = next(iter(monitor.get_data().values())).values()
    sink.stop()
    # Lava's ring buffers and monitors keep what they get as float64.
    return arrived.reshape(-1, len(images), length).sum(axis=-1).T.astype(np.int32), recorded.astype(np.int32)


def frames(images: Any, length: int, steps: int) -> Any:
    """``[1, *shape, steps]``: every image for `length` steps (or its own frames), then nothing."""
    shown = images if images.ndim in (3, 5) else np.repeat(images[:, None], length, axis=1)
    stream = shown.reshape(-1, *shown.shape[2:])
    rest = np.zeros((steps - len(stream), *stream.shape[1:]), stream.dtype)
    return np.moveaxis(np.concatenate([stream, rest]), 0, -1)[None].astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
