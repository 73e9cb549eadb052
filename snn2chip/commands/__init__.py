"""The commands, one file each: `add` declares a command and its options, `_execute` carries it out."""

from __future__ import annotations

from snn2chip.commands import (
    baselines,
    chips,
    compare,
    consumers,
    doctor,
    export,
    inspect,
    quantize,
    run,
    simulate,
    sweep,
    train,
    verify,
)

#: In the order in which the help shows them.
COMMANDS = (
    *(train, baselines, quantize, export, run, verify, simulate, compare, sweep, inspect, consumers, chips, doctor),
)

__all__ = ["COMMANDS"]
