"""How known layers become operations, by the qualified names of their classes.

Most of a network needs no rule: its forward is run, and torch's functions are understood
(`snn2chip.frontend.functions`). Rules are for neurons, whose state and time are theirs. Third-party classes are matched
by name, through their base classes, so that no framework is ever imported here. A new framework is one module with
`RULES`, and one entry in `_MODULES`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import nn

from snn2chip.errors import GraphError
from snn2chip.frontend.rules import norse, own, sinabs, snntorch, spikingjelly
from snn2chip.frontend.rules.base import Call, Rule, Stepped
from snn2chip.frontend.trace import qualified_name

_MODULES: tuple[ModuleType, ...] = (own, snntorch, norse, spikingjelly, sinabs)

#: Rules by the qualified name of the class.
RULES: dict[str, Rule] = {name: rule for module in _MODULES for name, rule in module.RULES.items()}
#: Base classes of layers with a state: what derives from them is refused unless it has a rule; with what is supported.
REFUSED: dict[str, str] = {name: mend for module in _MODULES for name, mend in getattr(module, "REFUSED", {}).items()}


def rule_for(module: nn.Module) -> Rule | None:
    """The rule of the module's class, or of its nearest base class that has one; None where its forward is to be run.

    Raises: GraphError where the class changes what a rule rests on, or belongs to a family of which it is no known one.
    """
    for kind in type(module).__mro__:
        name = qualified_name(kind)
        if name in RULES:
            _check_unchanged(module, kind, RULES[name])
            return RULES[name]
        if name in REFUSED:
            raise GraphError(f"it is a {_library(name)} layer that is not supported: {REFUSED[name]}")
    return None


def _check_unchanged(module: nn.Module, kind: type[Any], rule: Rule) -> None:
    for method in rule.methods:
        if getattr(type(module), method, None) is not getattr(kind, method, None) or method in vars(module):
            raise GraphError(
                f"it derives from {kind.__name__}, but its {method} is another: it is another layer, which is not "
                "understood"
            )


def _library(name: str) -> str:
    return name.partition(".")[0]


__all__ = ["REFUSED", "RULES", "Call", "Rule", "Stepped", "qualified_name", "rule_for"]
