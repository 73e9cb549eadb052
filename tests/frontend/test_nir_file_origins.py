"""NIR files as programs write them: norse, and this project's own exporter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn

from snn2chip import frontend, interpreter
from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form import NirExporter
from snn2chip.frontend.nir_file import read_nir
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array, Graph
from snn2chip.ops import Input
from tests.exporters import ecosystem
from tests.exporters.nir_networks import NETWORKS, images
from tests.frontend.test_nir_file import DT, FLAT, MAP, STEPS, chain, conv, frames, integrate_and_fire, lif, written


def synapses(inputs: int, outputs: int) -> nn.Linear:
    """A `Linear` with multiples of 1/4."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.round(parameter * 32) / 4)
    return layer


def leaky(parameters: Any, size: int, threshold: float | None = None, inverse: float = 256.0) -> Any:
    own = {"tau_mem_inv": torch.full((size,), inverse), "v_leak": torch.zeros(size)}
    return parameters(**own, **({} if threshold is None else {"v_th": torch.full((size,), threshold)}))


def run_norse(network: nn.Module, inputs: Array) -> Array:
    """``[B, T, F]`` of a norse network that is called step by step."""
    state, outputs = None, []
    with torch.no_grad():
        for step in range(inputs.shape[1]):
            output, state = network(torch.from_numpy(inputs[:, step].astype(np.float32)), state)
            outputs.append(output.numpy())
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("reads", ["spikes", "potentials"])
def test_a_network_that_norse_wrote_follows_norse(reads: str, tmp_path: Path) -> None:
    """norse writes tau = dt / tau_mem_inv: with dt = 1 it is in seconds."""
    torch.manual_seed(0)
    last = (
        norse.LIFBoxCell(leaky(norse.LIFBoxParameters, 5, 0.5, 512.0), dt=DT)
        if reads == "spikes"
        else norse.LIBoxCell(leaky(norse.LIBoxParameters, 5), dt=DT)
    )
    first = norse.LIFBoxCell(leaky(norse.LIFBoxParameters, 12, 0.25), dt=DT)
    network = norse.SequentialState(synapses(6, 12), first, synapses(12, 5), last)
    path = tmp_path / "norse.nir"
    nir.write(path, norse.to_nir(network, torch.ones(1, 6), dt=1.0))
    inputs = frames(FLAT)
    found = interpreter.run(read_nir(path, ImportOptions(steps=STEPS, dt=DT, largest=4)), inputs)
    expected = run_norse(network, inputs)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 1


def test_what_norse_reads_is_what_is_read_here(tmp_path: Path) -> None:
    """Convolutions, pooling, integrate-and-fire and leaky neurons in a file, run by `norse.torch.from_nir`."""
    shape = (3, 4, 4)
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    nodes = [
        conv(3, 2),
        integrate_and_fire(shape),
        pool,
        conv(4, 3, (1, 1), padding=0, input_shape=(2, 2)),
        lif((4, 2, 2), r=1.0),
    ]
    path = written(chain(MAP, *nodes), tmp_path)
    inputs = frames(MAP)
    found = interpreter.run(read_nir(path, ImportOptions(steps=STEPS, dt=DT, largest=4)), inputs)
    expected = run_norse(norse.from_nir(nir.read(path, type_check=False), dt=DT), inputs)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))
    assert expected.any()


def exported(graph: Graph, folder: Path) -> Path:
    NirExporter().write(graph, folder)
    (path,) = folder.glob("*.nir")
    return path


OWN: dict[str, Callable[[], Graph]] = {
    **NETWORKS,
    "one step of every neuron": lambda: ecosystem.leaky_levels(1),
    "one step of maxima": lambda: ecosystem.small_maxima(1),
    "several steps": lambda: ecosystem.hard_reset(5),
}


@pytest.mark.parametrize("name", OWN)
def test_what_this_project_wrote_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    graph = OWN[name]()
    op = graph.input.op
    assert isinstance(op, Input)
    again = read_nir(exported(graph, tmp_path), ImportOptions(largest=op.largest))
    inputs = images(graph)
    assert isinstance(again.input.op, Input)
    maps = inputs.reshape(len(inputs), *again.input.op.shape)  # in the file, flat inputs are maps of one position
    np.testing.assert_array_equal(interpreter.run(again, maps), interpreter.run(graph, inputs))
    assert again.steps == graph.steps


def test_what_this_project_wrote_knows_its_steps(tmp_path: Path) -> None:
    path = exported(NETWORKS["sequential"](), tmp_path)
    assert read_nir(path, ImportOptions(steps=1)).steps == 1
    with pytest.raises(GraphError, match=r"written for T = 1 and means nothing else at T = 4 \(--steps\)"):
        read_nir(path, ImportOptions(steps=4))


@pytest.mark.parametrize("note", ["{}", '{"steps": "1"}', '{"steps": true}', '{"steps": 1e9}', '{"steps": -1}'])
def test_notes_of_others_are_not_believed(note: str, tmp_path: Path) -> None:
    network = chain(FLAT, lif(FLAT))
    network.metadata = {"snn2chip": note}
    path = written(network, tmp_path)
    with pytest.raises(GraphError, match="give --steps"):
        read_nir(path, ImportOptions(dt=DT))
    assert read_nir(path, ImportOptions(dt=DT, steps=3)).steps == 3


@pytest.mark.parametrize("key", ["snn2chiq", "SNN2CHIP", "x"])
def test_our_note_under_a_damaged_name_is_no_foreign_file(key: str, tmp_path: Path) -> None:
    path = exported(NETWORKS["sequential"](), tmp_path)
    with h5py.File(path, "r+") as file:
        file.move("node/metadata/snn2chip", f"node/metadata/{key}")
    with pytest.raises(GraphError, match=f"its note 'snn2chip' is damaged, for it is called '{key}': export") as caught:
        frontend.load(path, ImportOptions(largest=16))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_whose_note_was_deleted_is_read_as_it_is(tmp_path: Path) -> None:
    path = exported(NETWORKS["sequential"](), tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/metadata/snn2chip"]
        file["node/metadata/author"] = '{"profile": "somebody", "steps": 3}'
    assert not frontend.load(path, ImportOptions(largest=16, steps=3)).integer
