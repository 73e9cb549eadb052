"""The actions that each model counts. A chip file prices them; ``docs/hardware-models.md`` explains them."""

from __future__ import annotations

from collections.abc import Mapping

#: What cores of spiking neurons and the mesh between them do.
NEUROCORE: Mapping[str, str] = {
    "synaptic_operation": "one event reaches one in-bounds target and its weight is accumulated, zero weights included",
    "payload_multiply": "the weight is multiplied with the value that the event carries (graded sources only)",
    "neuron_update_active": "visit of a neuron that an event or a bias reached, or that fired",
    "neuron_update_inactive": "visit of a neuron to which nothing happened",
    "spike_out": "a neuron fires: the event is handed to the core's output, once however many cores it is sent to",
    "level_compare": "one compare-and-subtract beyond the first, on the ladder of a multi-level neuron",
    "level_shift": "the shift that replaces the ladder where theta is a power of two",
    "leak_multiply": "product of a membrane, or of a synaptic current, with its decay",
    "message": "one event sent to one core",
    "hop_x": "a message crosses a link between tiles, east or west",
    "hop_y": "a message crosses a link between tiles, north or south",
    "payload_bit_hop": "one bit of an event's value crosses a link between tiles",
    "chip_crossing": "a message crosses from one chip to the next",
    "barrier": "one core takes part in the synchronisation that ends a step",
    "synapse_read": "read of a word of weights",
    "axon_in_read": "read of an entry of the table that turns a message into synapses",
    "accumulator_read": "read of a neuron's accumulator for a synaptic operation",
    "accumulator_write": "write of a neuron's accumulator for a synaptic operation",
    "state_read": "read of a neuron's state for its update",
    "state_write": "write of a neuron's state after its update",
    "axon_out_read": "read of an entry of the routing table for a message",
    "delay_read": "read of a message that waited for alignment",
    "delay_write": "write of a message that has to wait for alignment",
}

#: Of these, what depends on where cores lie.
TRAVEL = frozenset({"hop_x", "hop_y", "payload_bit_hop", "chip_crossing"})
#: What the events that a population sends cause, and what those that reach it do.
SENDING = TRAVEL | {"spike_out", "message", "axon_out_read"}
ARRIVING = frozenset(
    {
        *("synaptic_operation", "payload_multiply", "synapse_read", "axon_in_read"),
        *("accumulator_read", "accumulator_write", "delay_write", "delay_read"),
    }
)

#: What an analytic model with one memory of the exact size per tensor does (Lemaire et al. 2022).
FORMULA: Mapping[str, str] = {
    "accumulate": "addition at the width of the potential: synaptic operations, biases and soft resets",
    "multiply": "product of a weight with the value of an event (graded sources only)",
    "compare": "comparison of a potential with one level",
    "address": "addition or increment that computes the address of a synapse's target",
    "address_multiply": "product that computes the address of an event's first target",
    "sram_access": "access to a memory, priced by its size",
}

#: What a dense array of multipliers does.
ARRAY: Mapping[str, str] = {
    "multiply": "product of a weight and an activation",
    "accumulate": "addition to a partial sum",
    "requantize": "turning a sum into an activation: one product, one addition",
    "elementwise_add": "addition or comparison of two activations: residual sums and pools",
    "sram_access": "access to a memory, priced by its size",
}

ACTIONS: Mapping[str, Mapping[str, str]] = {"neurocore": NEUROCORE, "formula": FORMULA, "array": ARRAY}
