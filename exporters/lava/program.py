"""What one Lava process computes: its share of the graph, with the operations' own arithmetic. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping

from snn2chip.errors import UserError
from snn2chip.exporters.lava.partition import Link, Partition
from snn2chip.graph import Array, Graph
from snn2chip.lowering.pipeline import Schedule, Timing, schedule
from snn2chip.ops import Input
from snn2chip.pipelined import Execution, numpy_steps


class StageProgram:
    """Executes the nodes of one stage, step by step, for `batch` samples at once.

    Attributes:
        plan: when each node computes.
        limit: how many steps' worth of frames there are in all; None where that is not known: then the stage goes on.
        hops: by link of the stage, how many steps a value is under way: 0 or 1.
    """

    def __init__(
        self,
        graph: Graph,
        parts: Partition,
        stage: int,
        batch: int,
        timing: Timing = "algorithmic",
        limit: int | None = None,
    ) -> None:
        self.graph = graph
        self.nodes = parts.stages[stage]
        self.batch = batch
        self.plan = schedule(graph, timing)
        self.limit = limit
        self.incoming, self.outgoing = parts.incoming(stage), parts.outgoing(stage)
        self.hops = {link: hop(graph, parts, self.plan, link) for link in (*self.incoming, *self.outgoing)}
        self._execution = Execution(graph, self.plan, self.nodes, numpy_steps(graph), self._initial)

    @property
    def stateful(self) -> tuple[str, ...]:
        """The nodes that keep a state from step to step."""
        signals = self.graph.signals
        return tuple(name for name in self.nodes if self.graph[name].op.initial_state(signals[name], 1) is not None)

    @property
    def states(self) -> Mapping[str, Array | None]:
        """The potential of every neuron node and the value of every integrator, int32 ``[batch, *shape]``."""
        return self._execution.states

    @property
    def current_node(self) -> str:
        """The node that is being computed, for error messages."""
        return self._execution.current_node

    @property
    def output_hop(self) -> int:
        """How many steps the logits are under way when they leave the network."""
        name = self.graph.output.name
        return self.plan.ready[name] - self.plan.start[name]

    def step(self, time: int, received: Mapping[Link, Array], frame: Array | None) -> dict[str, Array]:
        """Step number `time`, from 0: what arrived in it, to what was computed in it, by node.

        Args: frame, what the network's input port received, in the stage that has it.
        Raises: UserError where a frame holds values outside the proven range.
        """
        arrived = {
            link.value: (time - self.hops[link] - self.plan.start[link.value], received[link]) for link in received
        }
        computed: dict[str, Array] = {}
        if frame is not None:
            _check_frame(self.graph, frame)
            computed[self.graph.input.name] = frame
            arrived[self.graph.input.name] = time, frame
        return computed | self._execution.step(time, arrived, self.limit)

    def moment(self, name: str, time: int) -> tuple[int, int] | None:
        """(index of the first sample, step within the sample) that `name` computes in step `time`; None outside."""
        number = time - self.plan.start[name]
        if number < 0 or (self.limit is not None and number >= self.limit):
            return None
        index, step = divmod(number, self.graph.steps)
        return index * self.batch, step

    def _initial(self, name: str, sample: int) -> Array | None:
        return self.graph[name].op.initial_state(self.graph.signals[name], self.batch)


def hop(graph: Graph, parts: Partition, plan: Schedule, link: Link) -> int:
    """How many steps a value of `link` is under way: 1 where it is sent in the step after the one that computed it.

    Only where a reader elsewhere computes in the same step it is sent at once: always in algorithmic timing; in
    pipelined timing where layers share synapses, and their currents cross.
    """
    home = parts.home
    readers = [name for name in graph.consumers[link.value] if home[name] != link.source]
    return min(1, *(plan.lag(link.value, name) for name in readers))


def _check_frame(graph: Graph, frame: Array) -> None:
    op = graph.input.op
    assert isinstance(op, Input)
    if frame.size and not (0 <= int(frame.min()) and int(frame.max()) <= op.largest):
        raise UserError(f"the input holds values outside 0..{op.largest}, for which ranges are proven")
