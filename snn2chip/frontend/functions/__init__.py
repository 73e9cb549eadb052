"""What torch's functions mean for traced values: one table, by the function's name.

A name stands for the function, the method and the ``aten`` operator alike (``torch.add``, ``Tensor.add``,
``aten.add``); ``aten.NAME`` comes first where an operator's arguments differ. Each entry takes the trace and then the
function's own arguments, with values in the place of tensors (real tensors where they are constants), and returns
values. In-place functions (``add_``) need no entry of their own. A new function is one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from snn2chip.frontend.functions import arithmetic, join, pools, shapes, synapses, time

Function = Callable[..., Any]

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        **arithmetic.FUNCTIONS,
        **join.FUNCTIONS,
        **pools.FUNCTIONS,
        **shapes.FUNCTIONS,
        **synapses.FUNCTIONS,
        **time.FUNCTIONS,
    }
)
#: Functions for which a state that is not given yet is zero.
ARITHMETIC = frozenset(arithmetic.FUNCTIONS) | frozenset(f"{name}_" for name in arithmetic.FUNCTIONS)
#: Functions whose result shares memory with their first argument.
VIEWS = shapes.VIEWS | time.VIEWS
#: Functions that give their first argument a new value.
SETTERS = frozenset({"__setitem__"})
