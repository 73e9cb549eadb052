"""The one neuron of a network: its options, and the modules that are made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from snn2chip.errors import UserError
from snn2chip.graph import LARGEST_STEPS
from snn2chip.nn.limits import one_of, positive, whole
from snn2chip.nn.neurons import Backward, MultiLevelIF, QuantizedReLU
from snn2chip.nn.thresholds import Threshold
from snn2chip.ops.neuron import LARGEST_LEVELS

Neuron = Literal["multilevel", "quantized_relu"]
ThresholdPer = Literal["layer", "channel"]


@dataclass(frozen=True)
class NeuronOptions:
    """What every neuron of a network has in common.

    Attributes:
        neuron: ``multilevel``, or ``quantized_relu`` of ``bits`` bits for the quantized ANN (T = 1).
        levels, steps, threshold, alpha, surrogate_gain: of every `MultiLevelIF`.
        bits: of every `QuantizedReLU`.
        backward: of every neuron but the barriers.
        barrier_backward: of the barrier neurons of ``sparse`` blocks.
        learn_threshold: train Vth, from ``threshold`` on; neurons whose spikes are summed share theirs.
        threshold_per: whether a learned threshold is one for the ``layer`` or one for each ``channel``.

    Raises:
        UserError: a value that is out of range, or a quantized ANN of several steps.
    """

    neuron: Neuron = "multilevel"
    levels: int = 4
    steps: int = 1
    bits: int = 3
    threshold: float = 1.0
    alpha: float = 5.0
    surrogate_gain: float = 1.0
    backward: Backward = "surrogate"
    barrier_backward: Backward = "straight_through"
    learn_threshold: bool = False
    threshold_per: ThresholdPer = "layer"

    def __post_init__(self) -> None:
        one_of("neuron", self.neuron, get_args(Neuron))
        whole("levels", self.levels, 1, LARGEST_LEVELS)
        whole("steps", self.steps, 1, LARGEST_STEPS)
        whole("bits", self.bits, 1, 8)
        for name in ("threshold", "alpha", "surrogate_gain"):
            positive(name, getattr(self, name))
        one_of("backward", self.backward, get_args(Backward))
        one_of("barrier_backward", self.barrier_backward, get_args(Backward))
        one_of("threshold_per", self.threshold_per, get_args(ThresholdPer))
        if not isinstance(self.learn_threshold, bool):
            raise UserError(f"learn_threshold must be True or False, not a {type(self.learn_threshold).__name__}.")
        if self.neuron == "quantized_relu" and self.steps != 1:
            raise UserError(f"steps is {self.steps}: a quantized ANN has one step.")

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for files."""
        return asdict(self)


@dataclass(frozen=True)
class NeuronFactory:
    """Makes neurons. One that `sharing` returned gives all of its neurons the same threshold."""

    options: NeuronOptions
    shared: Threshold | None = None

    def sharing(self, channels: int) -> NeuronFactory:
        """A factory for neurons of ``channels`` channels whose spikes are summed."""
        return replace(self, shared=self._learned(channels))

    def neuron(self, channels: int) -> MultiLevelIF:
        return self._make(channels, self.options.backward)

    def barrier(self, channels: int) -> MultiLevelIF:
        """The neuron on a residual sum of spikes."""
        return self._make(channels, self.options.barrier_backward)

    def _make(self, channels: int, backward: Backward) -> MultiLevelIF:
        options = self.options
        threshold = self.shared or self._learned(channels) or options.threshold
        if options.neuron == "quantized_relu":
            return QuantizedReLU(options.bits, threshold)
        return MultiLevelIF(options.levels, threshold, options.steps, backward, options.alpha, options.surrogate_gain)

    def _learned(self, channels: int) -> Threshold | None:
        if not self.options.learn_threshold:
            return None
        return Threshold(self.options.threshold, channels if self.options.threshold_per == "channel" else None)
