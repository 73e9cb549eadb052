"""Exported programs, and models that write their own neurons: neurons are known by their arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import IAFCell, LIFBoxCell, LIFCell
from norse.torch.functional.lif import LIFParameters
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.frontend.exported import capture_exported
from snn2chip.graph import Graph
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF

STEPS = 5


class Heaviside(torch.autograd.Function):
    """A surrogate gradient as people write it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        spikes: Tensor = (x > 0).to(x.dtype)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = gradients[0] / (1 + x * x)
        return slope


class Neuron(nn.Module):
    """A neuron written by its user; `kind` says how."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.beta = kind, nn.Parameter(torch.tensor(0.75))

    def forward(self, current: Tensor, v: Any) -> tuple[Tensor, Tensor]:
        if self.kind == "soft":
            v = self.beta * v + current
            spikes = Heaviside.apply(v - 1.5)  # type: ignore[no-untyped-call]
            return spikes, v - spikes * 1.5
        if self.kind == "hard":
            v = v + (current - v) * 0.5
            spikes = (v >= 0.5).float()
            return spikes, (1 - spikes) * v
        if self.kind == "where":
            v = v * 0.5 + current
            fired = v > 1.0
            return torch.where(fired, 1.0, 0.0), torch.where(fired, torch.zeros_like(v), v)
        if self.kind == "graded":
            v = v + current
            spikes = torch.clamp(torch.floor(v / 0.5), 0, 3)
            return spikes * 0.5, v - spikes * 0.5
        v = v * self.beta + current  # none: it is never reset
        return torch.heaviside(v - 2.0, torch.tensor(1.0)), v


class Loop(nn.Module):
    """All steps in one forward; frames along the first axis, or one image at every step."""

    def __init__(self, neuron: nn.Module, framed: bool, start: Any = 0.0) -> None:
        super().__init__()
        self.first, self.second, self.neuron = nn.Linear(6, 8), nn.Linear(8, 3), neuron
        self.framed, self.start = framed, start
        generator = torch.Generator().manual_seed(0)
        for parameter in (*self.first.parameters(), *self.second.parameters()):
            parameter.data = torch.randint(-64, 97, parameter.shape, generator=generator) / 64

    def forward(self, x: Tensor) -> Tensor:
        state, total = self.start, []
        for t in range(STEPS):
            spikes, state = self.neuron(self.first(x[t] if self.framed else x), state)
            total.append(self.second(spikes))
        return torch.stack(total).sum(0)


def inputs(framed: bool) -> np.ndarray[Any, Any]:
    shape = (24, STEPS, 6) if framed else (24, 6)
    return np.random.default_rng(2).integers(0, 4, shape).astype(np.uint8)


def given(images: np.ndarray[Any, Any], framed: bool) -> Tensor:
    x = torch.from_numpy(images).float()
    return x.transpose(0, 1) if framed else x


def check(model: nn.Module, graph: Graph, framed: bool) -> None:
    images = inputs(framed)
    with torch.no_grad():
        expected = model(given(images, framed))
    assert graph.steps == STEPS
    np.testing.assert_array_equal(interpreter.logits(graph, images), expected.numpy())


def exported(model: nn.Module, framed: bool, batch: int = 4, dynamic: bool = False) -> torch.export.ExportedProgram:
    example = torch.zeros(STEPS, batch, 6) if framed else torch.zeros(batch, 6)
    shapes = ({int(framed): torch.export.Dim("batch", min=2, max=64)},) if dynamic else None
    return torch.export.export(model.eval(), (example,), dynamic_shapes=shapes, strict=False)


KINDS = ("soft", "hard", "where", "graded", "none")


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_neurons_that_a_model_writes_itself(kind: str, framed: bool) -> None:
    model = Loop(Neuron(kind), framed)
    graph = frontend.capture(model, (6,), 3, steps=STEPS)
    (node,) = graph.of_kind(LIF, MultiLevelIF)
    assert node.name == "neuron"
    check(model, graph, framed)


@pytest.mark.parametrize(
    ("kind", "batch", "dynamic"), [*((kind, 4, False) for kind in KINDS), ("soft", 1, False), ("hard", 4, True)]
)
def test_the_same_as_exported_programs(kind: str, batch: int, dynamic: bool) -> None:
    framed = batch != 1
    model = Loop(Neuron(kind), framed)
    check(model, capture_exported(exported(model, framed, batch, dynamic), (6,), 3), framed)


RATES = LIFParameters(tau_syn_inv=torch.tensor(512.0), tau_mem_inv=torch.tensor(256.0), v_th=torch.tensor(0.5))


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("cell", [IAFCell(), LIFCell(RATES, dt=2.0**-10), LIFBoxCell(dt=2.0**-10)])
def test_exported_neurons_of_norse(cell: nn.Module, framed: bool) -> None:
    model = Loop(cell, framed, start=None)
    graph = capture_exported(exported(model, framed), (6,), 3)
    assert len(graph.of_kind(LeakyIntegrator)) == isinstance(cell, LIFCell)
    check(model, graph, framed)


@pytest.mark.parametrize(("levels", "steps", "dynamic"), [(4, 1, False), (1, 3, False), (4, 3, True)])
def test_an_exported_network_of_ours_is_the_network(levels: int, steps: int, dynamic: bool) -> None:
    torch.manual_seed(0)
    kwargs = {"width": 4, "blocks_per_stage": [1], "strides": [1], "in_channels": 1, "classes": 3}
    model = networks.build("resnet", {**kwargs, "levels": levels, "steps": steps, "input_scale": 1 / 16})
    model.train()
    model(torch.randint(0, 17, (16, 1, 8, 8)))
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},) if dynamic else None
    program = torch.export.export(model.eval(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=shapes, strict=False)
    graph, live = capture_exported(program, None, 16), frontend.capture(model, (1, 8, 8), 16)
    images = np.random.default_rng(0).integers(0, 17, (16, 1, 8, 8)).astype(np.uint8)
    np.testing.assert_allclose(interpreter.run(graph, images), interpreter.run(live, images), atol=1e-6)
    assert len(graph.of_kind(MultiLevelIF)) == len(live.of_kind(MultiLevelIF))


class Buffered(nn.Module):
    """One step; the state stays in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)
        self.fc.weight.data = torch.randint(-64, 97, (4, 6), generator=torch.Generator().manual_seed(1)) / 64
        self.v: Tensor
        self.register_buffer("v", torch.zeros(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        v = self.v * 0.5 + self.fc(x)
        spikes: Tensor = (v >= 1).float()
        self.v = v * (1 - spikes)
        return spikes


def test_a_program_of_one_step_is_run_for_all() -> None:
    model = Buffered()
    model.fc.bias.data.fill_(0.25)
    program = torch.export.export(model, (torch.zeros(3, 6),), strict=False)
    graph = capture_exported(program, (6,), 3, steps=6)
    images = np.random.default_rng(2).integers(0, 4, (3, 6)).astype(np.uint8)
    with torch.no_grad():
        expected = torch.stack([model(torch.from_numpy(images).float()) for _ in range(6)], 1)
    np.testing.assert_array_equal(interpreter.run(graph, images), expected.numpy())
    model.v = torch.zeros(3, 4)
    assert frontend.capture(model, (6,), 3, steps=6).digest == graph.digest


class Adaptive(nn.Module):
    """A threshold that rises with every step is no neuron of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def forward(self, current: Tensor, v: Any) -> tuple[Tensor, Tensor]:
        self.step += 1
        v = 0.5 * v + current
        spikes = (v > 1.0 + 0.1 * self.step).float()
        return spikes, v - spikes


class Leaking(Adaptive):
    """So is a leak that changes."""

    def forward(self, current: Tensor, v: Any) -> tuple[Tensor, Tensor]:
        self.step += 1
        v = v / (1 + self.step) + current
        spikes = (v > 1.0).float()
        return spikes, v - spikes


@pytest.mark.parametrize(
    ("neuron", "sentence"),
    [
        (Adaptive(), r"module 'neuron' \(Adaptive\), test_exported\.py line \d+: its threshold changes"),
        (Leaking(), r"module 'neuron' \(Leaking\).*step 2 of the neuron 'neuron' differs from the steps before"),
    ],
)
def test_a_neuron_that_changes_is_refused(neuron: nn.Module, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(Loop(neuron, framed=True), (6,), 3, steps=STEPS)


@torch.jit.script
def twice(x: Tensor) -> Tensor:
    return x * 2


class Scripted(nn.Module):
    """A call that traced tensors cannot follow, and torch.export can."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.neuron, self.head = nn.Linear(6, 4), networks.MultiLevelIF(2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.neuron(twice(self.fc(x))))  # type: ignore[no-any-return]


def test_the_second_way() -> None:
    model, images = Scripted().double(), inputs(framed=False)
    graph = frontend.capture(model, (6,), 3)
    with torch.no_grad():
        expected = model(torch.from_numpy(images).double())
    np.testing.assert_allclose(interpreter.logits(graph, images), expected.numpy(), rtol=1e-9)


class Program(nn.Module):
    """A layer, and a buffer that its forward counts in."""

    count: Tensor

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.first, self.body = nn.Linear(4, 3), forward
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, self.first(x))  # type: ignore[no-any-return]


def counted(net: Any, y: Tensor) -> Tensor:
    net.count.add_(1)
    return y


def count_used(net: Any, y: Tensor) -> Tensor:
    net.count.add_(1)
    return y * net.count  # type: ignore[no-any-return]


def program_of(forward: Any) -> Any:
    return torch.export.export(Program(forward).eval(), (torch.zeros(2, 4),), strict=False)


def test_a_buffer_that_is_only_counted_in() -> None:
    assert capture_exported(program_of(counted), largest=5, steps=1).output.name == "readout"


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (count_used, r"its second run means something else than the first, by what it keeps in the buffers 'count'"),
        (lambda net, y: y * torch.rand(1), r"rand.* draws random numbers"),
        (lambda net, y: y.to(torch.int32).float(), r"torch.int32, which cuts"),
    ],
)
def test_a_program_that_means_something_else_is_refused(forward: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        capture_exported(program_of(forward), largest=5, steps=1)


def mapped(net: Any, y: Tensor) -> Tensor:
    each: Any = torch.vmap(torch.neg)
    return each(y)  # type: ignore[no-any-return]


def test_vmap_is_refused() -> None:
    with pytest.raises(UserError, match=r"belongs to torch\.vmap"):
        frontend.capture(Program(mapped).eval(), (4,), 5, steps=1)
    each: Any = torch.vmap(torch.neg)  # it works as before
    assert torch.equal(each(torch.ones(2, 2)), -torch.ones(2, 2))


def test_what_torch_export_alone_follows() -> None:
    model = Program(lambda net, y: twice(y)).eval()
    graph = frontend.capture(model, (4,), 5, steps=1)
    images = np.random.default_rng(0).integers(0, 6, (8, 4)).astype(np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(images).float()).double().numpy()
    np.testing.assert_allclose(interpreter.logits(graph, images), expected, atol=1e-5)
    with pytest.raises(UserError, match=r"depends on the length of the batch"):
        frontend.capture(Program(lambda net, y: twice(y) / y.shape[0]).eval(), (4,), 5, steps=1)
