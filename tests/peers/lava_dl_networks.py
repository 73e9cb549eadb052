"""lava-dl's own `.net` files; test_netx.py compares them with the spikes that lava-dl stored."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from snn2chip import spec
from snn2chip.errors import UserError
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from snn2chip.ops import Input
from tests.peers.verdict import Verdict, export, quantized

VERSION, STEPS = "0.6.0", 16
FOLDER = Path(sys.prefix) / "share" / "lava-dl"
#: Each with what test_netx.py has to compare it with.
FILES = {
    "tiny.net": "as [stored](netx.md)",
    "mnist.net": "nothing stored",
    "gts/pilotnet_lif/network.net": "as [stored](netx.md)",
    "gts/ntidigits/ntidigits.net": "",
    "gts/pilotnet_sdnn/network.net": "",
    "gts/pilotnet_sdnn/square_network.net": "",
}


def examine(file: str, folder: Path) -> Verdict:
    """Read a file and, where it gets in, export and certify it on random inputs."""
    try:
        graph = read_netx(FOLDER / file, ImportOptions(steps=STEPS, largest=140))
    except UserError as error:
        return Verdict(refused=str(error).removeprefix(f"{FOLDER / file}: "))
    shape = graph.input.op.shape if isinstance(graph.input.op, Input) else ()
    inputs = np.random.default_rng(0).integers(0, 141, (1, *shape)).astype(np.uint8)
    integer = graph if spec.broken_rule(graph) is None else quantized(graph)
    if isinstance(integer, str):
        return Verdict(refused=integer)
    return Verdict(agreement=FILES[file], forms=export(integer, inputs, folder))
