"""What counting costs in other tools, on a network described in a file: a program of its own, in ``.venv-peers``.

    python counting_program.py TOOL JOBS.npz RESULT.json

TOOL is ``spikingjelly``, ``neurobench`` or ``syops``; JOBS.npz is that of `neurobench_program`, which builds the
network for all three, with one network. RESULT.json gets the median processor seconds of the plain and of the counted
run, which take turns, the operations per sample that the tool counted, and the logits.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neurobench.metrics.workload import SynapticOperations
from neurobench.models import SNNTorchModel

from tests.peers.neurobench_program import Net

ROUNDS = 5
Run = Callable[[], tuple[torch.Tensor, float]]


def stepped(net: Net, data: torch.Tensor) -> torch.Tensor:
    """The logits of frames ``[B, T, ...]``, summed over the steps."""
    net.reset()
    return torch.stack([net(frame)[0] for frame in data.unbind(1)]).sum(0)


def spikingjelly(net: Net, data: torch.Tensor) -> Run:
    """SpikingJelly 2's counter of synaptic operations, which sees every call of PyTorch."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    def run() -> tuple[torch.Tensor, float]:
        counter = SynOpCounter()
        with DispatchCounterMode([counter]):
            logits = stepped(net, data)
        return logits, counter.get_total() / len(data)

    return run


def neurobench(net: Net, data: torch.Tensor) -> Run:
    """NeuroBench's synaptic operations, as its `Benchmark` calls them for one batch."""
    model = SNNTorchModel(net)
    model.register_hooks()

    def run() -> tuple[torch.Tensor, float]:
        metric = SynapticOperations()
        logits = model(data).sum(dim=1)
        found = metric(model, logits, (data, None))
        model.reset_hooks()
        return logits, found["Effective_ACs"] + found["Effective_MACs"]

    return run


def syops(net: Net, data: torch.Tensor) -> Run:
    """syops' hooks, as its `get_model_complexity_info` sets them for a data set, without what it prints."""
    from syops.engine import add_syops_counting_methods

    def run() -> tuple[torch.Tensor, float]:
        model = add_syops_counting_methods(net)
        model.start_syops_count(ost=sys.stdout, verbose=False, ignore_list=[])
        logits = stepped(net, data)
        (_, accumulations, products, _), _ = model.compute_average_syops_cost()
        model.stop_syops_count()
        steps = data.shape[1]  # it divides by the samples of every call, and every step is one
        return logits, steps * float(accumulations + products)

    return run


def medians(plain: Callable[[], object], counted: Callable[[], object]) -> list[float]:
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for action, taken in zip((plain, counted), seconds, strict=True):
            start = time.process_time()
            action()
            taken.append(time.process_time() - start)
    return [statistics.median(taken[1:]) for taken in seconds]


def main() -> None:
    """What `TOOL` does with the one network of `JOBS.npz`."""
    torch.set_num_threads(1)
    tool = {"spikingjelly": spikingjelly, "neurobench": neurobench, "syops": syops}[sys.argv[1]]
    with np.load(sys.argv[2]) as arrays:
        (job,) = json.loads(str(arrays["jobs"]))
        prefix = f"{job['name']}/"
        weights = {key[len(prefix) : -len(".weight")]: arrays[key] for key in arrays if key.startswith(prefix)}
        images = torch.from_numpy(arrays[f"{prefix}x"].astype(np.float32))
    data = images.unsqueeze(1).repeat(1, job["steps"], 1, 1, 1)
    plain, watched = Net(job["nodes"], weights).eval(), Net(job["nodes"], weights).eval()
    run = tool(watched, data)
    with torch.no_grad():
        forward, counted = medians(lambda: stepped(plain, data), run)
        logits, operations = run()
    result: dict[str, Any] = {"forward": forward, "counted": counted, "operations": operations}
    Path(sys.argv[3]).write_text(json.dumps({**result, "logits": logits.to(torch.int64).tolist()}), encoding="utf-8")


if __name__ == "__main__":
    main()
