"""SANA-FE on networks that are described in files: a program of its own, run in ``.venv-sanafe``.

    python sanafe_program.py run JOBS.json RESULTS.json
    python sanafe_program.py dvs-data FILE.npz
    python sanafe_program.py dvs RESULT.json STEPS TIMING

JOBS.json holds a list of ``{architecture, network, steps, gates, timing}``: descriptions by snn2chip.hw_models.sanafe.
RESULTS.json gets what SANA-FE found for each, with the potentials of the readout after the last step. ``dvs`` runs the
DVS-gesture network that comes with SANA-FE on its own description of Loihi, as its tutorial does, and ``dvs-data``
writes that network's weights.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sanafe
import sanafe.layers
import sanafe.tutorial

NEVER = 1e30
#: Cores that the tutorial gives each layer, in order.
CORES = (1, 4, 16, 16, 4, 1)


def load(job: dict[str, Any], folder: Path) -> sanafe.SpikingChip:
    """The chip with the network on it."""
    for name in ("architecture", "network"):
        (folder / f"{name}.yaml").write_text(job[name], encoding="utf-8")
    described = sanafe.load_arch(str(folder / "architecture.yaml"))
    network = sanafe.load_net(str(folder / "network.yaml"), described)
    chip = sanafe.SpikingChip(described)
    chip.load(network)
    return chip


def open_gates(chip: sanafe.SpikingChip, gates: list[dict[str, Any]], step: int) -> None:
    """What changes before a step: biases count from a group's first one, and nothing is sent after its last."""
    for gate in gates:
        neurons = chip.mapped_neuron_groups[gate["group"]]
        if step == gate["first"]:
            for neuron, bias in zip(neurons, gate["biases"], strict=False):
                neuron.set_attributes(model_attributes={"bias": bias})
        if step == gate["last"] + 1:
            for neuron in neurons:
                neuron.set_attributes(model_attributes={"bias": 0, "threshold": NEVER})


def run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The sums over all steps."""
    chip = load(job, folder)
    parts = []
    for step in range(job["steps"]):
        open_gates(chip, job["gates"], step)
        parts.append(chip.sim(1, timing_model=job["timing"], processing_threads=1, potential_trace=True))
    energies = {name: sum(part["energy"][name] for part in parts) for name in parts[0]["energy"]}
    counts = {name: sum(part[name] for part in parts) for name in COUNTED}
    return {**counts, "energy": energies, "potentials": parts[-1]["potential_trace"][-1]}


COUNTED = ("neurons_fired", "neurons_updated", "spikes", "packets_sent", "sim_time")


def dvs_network() -> tuple[sanafe.Architecture, sanafe.Network]:
    """The tutorial's network, each layer cut into consecutive neurons."""
    import numpy as np

    with sanafe.tutorial.get_dvs_data() as file:
        data = dict(np.load(file))
    described, network, thresholds = sanafe.load_loihi(), sanafe.Network(), data["thresholds"]
    layers = [sanafe.layers.Input2D(network, 32, 32, threshold=thresholds[0])]
    for number in range(1, 5):
        stride = {"stride_width": 2, "stride_height": 2} if number == 1 else {}
        weights = data[f"conv{number}"]
        layers.append(sanafe.layers.Conv2D(network, layers[-1], weights, **stride, threshold=thresholds[number]))
    layers.append(sanafe.layers.Dense(network, layers[-1], 11, data["dense1"], threshold=thresholds[5]))
    for neuron, bias in zip(layers[0], data["inputs"], strict=True):
        neuron.set_attributes(model_attributes={"bias": bias})
    cores = iter(described.cores())
    for layer, count in zip(layers, CORES, strict=True):
        each = len(layer) // count
        for part in range(count):
            core = next(cores)
            for neuron in layer[part * each : (part + 1) * each if part < count - 1 else len(layer)]:
                neuron.map_to_core(core)
    return described, network


def dvs(steps: int, timing: str) -> dict[str, Any]:
    """One run with its times in seconds: wall, and that of the processor."""
    started = time.perf_counter()
    described, network = dvs_network()
    chip = sanafe.SpikingChip(described)
    chip.load(network)
    loaded, used = time.perf_counter(), time.process_time()
    found = chip.sim(steps, timing_model=timing, processing_threads=1)
    ended, used = time.perf_counter(), time.process_time() - used
    kept = {name: found[name] for name in (*COUNTED, "energy")}
    return {**kept, "load_seconds": loaded - started, "run_seconds": ended - loaded, "processor_seconds": used}


def dvs_data(path: Path) -> None:
    """The arrays of the tutorial's network, as they come."""
    with sanafe.tutorial.get_dvs_data() as file:
        path.write_bytes(file.read())


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "dvs-data":
        dvs_data(Path(arguments[0]))
        return
    if what == "dvs":
        result: Any = dvs(int(arguments[1]), arguments[2])
        output = arguments[0]
    else:
        jobs = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            result = [run(job, Path(folder)) for job in jobs]
        output = arguments[1]
    Path(output).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
