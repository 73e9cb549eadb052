"""NIR files that other tools wrote, of small networks in what NIR can say: neurons that reset to zero."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nir
import norse.torch as norse
import sinabs.layers as sl
import sinabs.nir
import snntorch as snn
import torch
from norse.torch.utils.export_nir import to_nir as norse_to_nir
from sinabs.activation import MembraneReset, SingleSpike
from snntorch.export_nir import export_to_nir as snntorch_to_nir
from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir as spikingjelly_to_nir
from torch import Tensor, nn

from snn2chip.frontend.nir_file import read_nir
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Graph
from tests.peers.network import Network

STEPS = 6
_IMAGE, _FLAT = (2, 8, 8), (32,)


def spikingjelly() -> nn.Module:
    """8C3-8C3/2-10."""
    return nn.Sequential(
        layer.Conv2d(2, 8, 3, padding=1),
        neuron.IFNode(),
        layer.Conv2d(8, 8, 3, stride=2, padding=1),
        neuron.LIFNode(tau=2.0, v_threshold=0.5),
        layer.Flatten(),
        layer.Linear(128, 10),
    )


def snntorch() -> nn.Module:
    """20-10: its exporter fails on convolutions with padding, and writes no shapes of neurons with single numbers."""

    def leaky(neurons: int, beta: float) -> nn.Module:
        parameters = {"beta": torch.full((neurons,), beta), "threshold": torch.ones(neurons)}
        made: nn.Module = snn.Leaky(**parameters, reset_mechanism="zero", reset_delay=False, init_hidden=True)
        return made

    return nn.Sequential(nn.Linear(32, 20), leaky(20, 0.75), nn.Linear(20, 10), leaky(10, 0.5))


def sinabs_network() -> nn.Module:
    """20-10: its exporter writes a flattening without a type, which no file can hold."""
    hard: dict[str, Any] = {"spike_fn": SingleSpike, "reset_fn": MembraneReset(), "num_timesteps": STEPS}
    return nn.Sequential(nn.Linear(32, 20), sl.IAFSqueeze(**hard), nn.Linear(20, 10), sl.IAFSqueeze(**hard))


def norse_network() -> nn.Module:
    """20-10: its parameters are given one a neuron, because no file can hold its single numbers.

    Its `LIFCell` is left out: there the input current reaches the membrane a step later, which NIR does not say.
    """
    box = norse.LIFBoxParameters(
        tau_mem_inv=torch.full((10,), 100.0), v_leak=torch.zeros(10), v_th=torch.ones(10), v_reset=torch.zeros(10)
    )
    model: nn.Module = norse.SequentialState(
        nn.Linear(32, 20),
        norse.IAFCell(norse.IAFParameters(v_th=torch.ones(20), v_reset=torch.zeros(20))),
        nn.Linear(20, 10),
        norse.LIFBoxCell(box),
    )
    return model


def with_states(model: nn.Module, inputs: Iterable[Tensor]) -> None:
    state = None
    for x in inputs:
        _, state = model(x, state)


def _file(write: Callable[[nn.Module, Tensor], Any], dt: float) -> Callable[[Network, nn.Module], Graph]:
    """Reads what `write` makes of a network, as a file."""

    def read(network: Network, model: nn.Module) -> Graph:
        options = ImportOptions(
            input_shape=network.input_shape,
            largest=network.largest,
            input_scale=network.scale,
            steps=network.steps,
            dt=dt,
        )
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            path = Path(folder, "network.nir")
            nir.write(path, write(model, torch.zeros((1, *network.input_shape), dtype=next(model.parameters()).dtype)))
            return read_nir(path, options)

    return read


def _network(writer: str, build: Any, kinds: Any, read: Any, shape: tuple[int, ...] = _FLAT, **more: Any) -> Network:
    fixed: dict[str, Any] = {"largest": 15, "scale": 1 / 16, "single": True, "by_order": True, "layout": "step"}
    return Network(
        name=f"written by {writer}",
        source=build.__doc__.partition(":")[0].strip("."),
        package="nir",
        build=build,
        spiking=lambda module: isinstance(module, kinds),
        input_shape=shape,
        steps=STEPS,
        read=read,
        **fixed | more,
    )


NETWORKS = (
    _network(
        "SpikingJelly", spikingjelly, neuron.BaseNode, _file(spikingjelly_to_nir, 1e-4), _IMAGE, gain=2.0, single=False
    ),
    _network(
        "snnTorch",
        snntorch,
        snn.Leaky,
        _file(lambda model, x: snntorch_to_nir(model, x, ignore_dims=[0]), 1e-4),
        gain=3.0,
    ),
    _network(
        "sinabs",
        sinabs_network,
        sl.StatefulLayer,
        _file(lambda model, x: sinabs.nir.to_nir(model, x.expand(STEPS, -1)), 1.0),
        gain=2.0,
        layout="B*T",
    ),
    _network(
        "norse",
        norse_network,
        (norse.IAFCell, norse.LIFBoxCell),
        _file(lambda model, x: norse_to_nir(model, x, dt=1.0), 0.001),
        gain=12.0,
        run=with_states,
    ),
)
