"""Capture keeps every edge, and refuses by module path and class what it does not understand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip import nn as networks
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph
from snn2chip.ops import Add, BatchNorm2d, Conv2d, MultiLevelIF
from snn2chip.quantize import fold_batch_norms


def float_graph(model: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> Graph:
    return frontend.capture(model, shape, 16)


class Wrapped(nn.Module):
    """Encoding, a body of one channel, and a head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.encoding = networks.DirectEncoding(1, 1 / 16)
        self.body = body
        self.flatten, self.head, self.readout = nn.Flatten(), nn.Linear(64, 3), networks.Readout(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.head(self.flatten(self.body(self.encoding(x)))))  # type: ignore[no-any-return]


class Sums(nn.Module):
    """Two branches, summed in one of the spellings that people use."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)
        self.neuron = networks.MultiLevelIF(4)
        self.spelling = spelling

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x), self.second(x)
        if self.spelling == "+":
            total = a + b
        elif self.spelling == "+=":
            total = a
            total += b
        elif self.spelling == ".add":
            total = a.add(b)
        elif self.spelling == "sum":
            total = sum([a, b])
        elif self.spelling == "torch.add":
            total = torch.add(a, b, alpha=1)
        else:
            total = b + b
        return self.neuron(total)  # type: ignore[no-any-return]


@pytest.mark.parametrize("spelling", ["+", "+=", ".add", "sum", "torch.add", "twice the same"])
def test_residual_sums_keep_both_edges(spelling: str) -> None:
    if spelling == "twice the same":
        with pytest.raises(GraphError, match=r"computes 'body\.first', which its output does not need"):
            float_graph(Wrapped(Sums(spelling)))
        return
    graph = float_graph(Wrapped(Sums(spelling)))
    (add,) = graph.of_kind(Add)
    assert add.inputs == ("body.first", "body.second")
    assert add.name == "body.add"


class Doubled(nn.Module):
    """A tensor that is added to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.neuron = nn.Conv2d(1, 1, 1), networks.MultiLevelIF(4)

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv(x)
        return self.neuron(a + a)  # type: ignore[no-any-return]


def test_a_tensor_added_to_itself_keeps_both_edges() -> None:
    (add,) = float_graph(Wrapped(Doubled())).of_kind(Add)
    assert add.inputs == ("body.conv", "body.conv")


@pytest.mark.parametrize("block", ["sparse", "sew"])
@pytest.mark.parametrize(("levels", "steps"), [(4, 1), (1, 4), (2, 3)])
def test_the_float_graph_computes_what_the_module_computes(block: str, levels: int, steps: int) -> None:
    torch.manual_seed(1)
    model = networks.build(
        "resnet",
        {
            "block": block,
            "levels": levels,
            "steps": steps,
            "width": 8,
            "blocks_per_stage": [1, 1],
            "strides": [1, 2],
            "in_channels": 1,
            "classes": 5,
            "input_scale": 1 / 16,
        },
    )
    images = torch.randint(0, 17, (16, 1, 8, 8), dtype=torch.uint8)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(images)
    model.double().eval()
    encodings = [module for module in model.modules() if isinstance(module, networks.DirectEncoding)]
    # Float64 throughout, so that both sides round alike.
    hooks = [m.register_forward_hook(lambda _module, _inputs, output: output.double()) for m in encodings]
    with torch.no_grad():
        expected = model(images).numpy() * steps
    for hook in hooks:
        hook.remove()
    graph = float_graph(model)
    np.testing.assert_allclose(interpreter.logits(graph, images.numpy()), expected, rtol=1e-4, atol=1e-4)
    assert len(graph.of_kind(MultiLevelIF)) == len([m for m in model.modules() if isinstance(m, networks.MultiLevelIF)])


def test_folding_batch_norms_leaves_the_function_as_it_is() -> None:
    torch.manual_seed(2)
    model = networks.build(
        "resnet", {"width": 4, "blocks_per_stage": [1], "strides": [1], "in_channels": 1, "classes": 3}
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.1, 2)
    graph = float_graph(model)
    folded = fold_batch_norms(graph)
    assert not folded.of_kind(BatchNorm2d)
    images = np.random.default_rng(0).integers(0, 17, (8, 1, 8, 8)).astype(np.uint8)
    recorders = interpreter.Recorder(), interpreter.Recorder()
    outputs = [interpreter.run(g, images, [r]) for g, r in zip((graph, folded), recorders, strict=True)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-9, atol=1e-9)


class Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (nn.GELU(), r"module 'body' \(GELU\): gelu is not supported"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.GELU()), r"module 'body\.1' \(GELU\): gelu is not supported"),
        (Sigmoid(), r"module 'body' \(Sigmoid\), test_capture\.py line \d+: sigmoid is not supported"),
        (
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
            r"module 'body' \(Conv2d\): padding in mode 'reflect' is not supported",
        ),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), r"module 'body' \(AvgPool2d\): its divisor differs"),
        (networks.MultiLevelIF(4, steps=2), r"module 'body' \(MultiLevelIF\): it runs 2 steps"),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()), r"module 'body\.1' \(ReLU\): relu is not supported"),
        (nn.LSTM(8, 8), r"Wrapped.*: its forward cannot be traced: LSTM"),
    ],
)
def test_what_is_not_understood_is_named(body: nn.Module, sentence: str) -> None:
    with pytest.raises((UserError, GraphError), match=sentence):
        float_graph(Wrapped(body))


class DataDependent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_control_flow_on_data_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"module 'body' \(DataDependent\), test_capture\.py line \d+: bool depends on the values"
    ):
        float_graph(Wrapped(DataDependent()))


def test_a_model_comes_back_as_it_was() -> None:
    model = Wrapped(nn.Sequential(nn.Conv2d(1, 1, 1), networks.MultiLevelIF(4))).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    float_graph(model)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert nn.Module.__call__ is nn.Module._wrapped_call_impl


def test_an_effective_weight_is_what_is_captured() -> None:
    plain, older = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
    newer = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 3, padding=1))
    for conv in (plain, older, newer):
        nn.init.ones_(conv.weight.detach())
    nn.utils.weight_norm(older)
    with torch.no_grad():
        older.get_parameter("weight_g").mul_(2)
        newer.parametrizations.weight.original0.mul_(3)
    for conv in (plain, older, newer):
        graph = float_graph(Wrapped(nn.Sequential(conv, networks.MultiLevelIF(4))))
        node = graph["body.0"].op
        assert isinstance(node, Conv2d)
        conv(torch.zeros(1, 1, 8, 8))  # the older one computes its weight when it runs
        np.testing.assert_allclose(node.weight, conv.weight.detach().double().numpy())


def test_wrong_input_shape_names_the_node() -> None:
    with pytest.raises(GraphError, match=r"module 'body' \(Conv2d\).*does not fit an input of 2 channels"):
        float_graph(Wrapped(nn.Conv2d(1, 1, 1)), (2, 8, 8))
