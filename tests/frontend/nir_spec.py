"""NIR, executed by the letter of its documentation: plain loops, no code of the package, nothing but `nir` to read.

Spikes and currents are numbers of one step; equations are integrated by forward Euler with the input of the same step.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Spec:
    """A `nir.NIRGraph` with its state; `seen` holds what each node yielded, by path and step."""

    def __init__(self, graph: Any, dt: float, path: str = "") -> None:
        self.graph, self.dt, self.path = graph, dt, path
        self.state: dict[str, Any] = {}
        self.seen: dict[str, list[Array]] = {}

    def run(self, frames: Array) -> Array:
        return np.stack([self.step(frame.astype(np.float64)) for frame in frames])

    def step(self, x: Array) -> Array:
        values: dict[str, Array] = {}

        def value(name: str) -> Array:
            if name not in values:
                feeding = [value(source) for source, target in self.graph.edges if target == name]
                values[name] = self._node(name, self.graph.nodes[name], sum(feeding) if feeding else x)
                self.seen.setdefault(self.path + name, []).append(values[name])
            return values[name]

        return value(next(name for name, node in self.graph.nodes.items() if isinstance(node, nir.Output)))

    def _node(self, name: str, node: Any, x: Any) -> Array:
        if isinstance(node, nir.NIRGraph):
            inner = self.state.setdefault(name, Spec(node, self.dt, f"{self.path}{name}."))
            inner.seen = self.seen
            return np.asarray(inner.step(x))
        y = getattr(self, f"_{type(node).__name__.lower()}")(name, node, x)
        return np.asarray(y)

    def _input(self, name: str, node: Any, x: Array) -> Any:
        return x

    _output = _input

    def _affine(self, name: str, node: Any, x: Array) -> Any:
        return node.weight.astype(np.float64) @ x + node.bias

    def _linear(self, name: str, node: Any, x: Array) -> Any:
        return node.weight.astype(np.float64) @ x

    def _scale(self, name: str, node: Any, x: Array) -> Any:
        return x * node.scale

    def _threshold(self, name: str, node: Any, x: Array) -> Any:
        return (x > node.threshold).astype(np.float64)

    def _flatten(self, name: str, node: Any, x: Array) -> Any:
        return x.reshape(-1)

    def _conv2d(self, name: str, node: Any, x: Array) -> Any:
        taps = np.array(node.weight.shape[2:])
        dilation, stride = np.broadcast_to(node.dilation, 2), np.broadcast_to(node.stride, 2)
        if isinstance(node.padding, str):
            total = dilation * (taps - 1) * (node.padding == "same")
            before, after = total // 2, total - total // 2
        else:
            before = after = np.broadcast_to(node.padding, 2)
        x = np.pad(x, [(0, 0), (before[0], after[0]), (before[1], after[1])])
        size = (np.array(x.shape[1:]) - dilation * (taps - 1) - 1) // stride + 1
        outputs, per_group = node.weight.shape[:2]
        y = np.zeros((outputs, *size))
        for o, i, j, c, a, b in np.ndindex(outputs, *size, per_group, *taps):
            group = o // (outputs // int(node.groups))
            source = x[group * per_group + c, i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]]
            y[o, i, j] += node.weight[o, c, a, b] * source
        return y + node.bias[:, None, None]

    def _sumpool2d(self, name: str, node: Any, x: Array) -> Any:
        (p, q), (s, t), (h, w) = node.padding, node.stride, node.kernel_size
        x = np.pad(x, [(0, 0), (p, p), (q, q)])
        size = (x.shape[1] - h) // s + 1, (x.shape[2] - w) // t + 1
        y = np.zeros((x.shape[0], *size))
        for c, i, j in np.ndindex(y.shape):
            y[c, i, j] = x[c, i * s : i * s + h, j * t : j * t + w].sum()
        return y

    def _avgpool2d(self, name: str, node: Any, x: Array) -> Any:
        return self._sumpool2d(name, node, x) / np.prod(node.kernel_size)

    def _i(self, name: str, node: Any, x: Array) -> Any:
        self.state[name] = self.state.get(name, 0) + node.r * x
        return self.state[name] + 0.0

    def _li(self, name: str, node: Any, x: Array) -> Any:
        v = self.state.get(name, np.zeros_like(x))
        self.state[name] = v + self.dt / node.tau * (node.v_leak - v + node.r * x)
        return np.array(self.state[name])

    def _cubali(self, name: str, node: Any, x: Array) -> Any:
        s, v = self.state.get(name, (np.zeros_like(x), np.zeros_like(x)))
        s = s + self.dt / node.tau_syn * (node.w_in * x - s)
        v = v + self.dt / node.tau_mem * (node.v_leak - v + node.r * s)
        self.state[name] = s, v
        return np.array(v)

    def _if(self, name: str, node: Any, x: Array) -> Any:
        return self._fire(name, node, self.state.get(name, node.v_reset) + node.r * x)

    def _lif(self, name: str, node: Any, x: Array) -> Any:
        v = self.state.get(name, node.v_reset)
        return self._fire(name, node, v + self.dt / node.tau * (node.v_leak - v + node.r * x))

    def _cubalif(self, name: str, node: Any, x: Array) -> Any:
        s = self.state.get(f"{name}.s", np.zeros_like(x))
        self.state[f"{name}.s"] = s = s + self.dt / node.tau_syn * (node.w_in * x - s)
        v = self.state.get(name, node.v_reset)
        return self._fire(name, node, v + self.dt / node.tau_mem * (node.v_leak - v + node.r * s))

    def _fire(self, name: str, node: Any, v: Array) -> Any:
        fires = v > node.v_threshold
        self.state[name] = np.where(fires, node.v_reset, v)
        return fires.astype(np.float64)
