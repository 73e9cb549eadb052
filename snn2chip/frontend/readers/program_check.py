"""The JSON inside a ``.pt2``: only what describes a network of PyTorch's own operators gets through.

``torch.export.load`` trusts this document with far more. It evaluates shape expressions, compiles Python from the names
of values, looks operators up by any dotted name under ``torch`` and imports modules that tree specifications name.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable
from typing import Any

from snn2chip.errors import UserError

#: Operators of PyTorch, and arithmetic on sizes.
_TARGET = re.compile(r"torch\.ops\.aten\.[A-Za-z0-9_]+\.[A-Za-z0-9_]+|_operator\.(add|sub|mul|floordiv|getitem)")
_DOTTED = re.compile(r"(?!__)[A-Za-z0-9_]+(\.(?!__)[A-Za-z0-9_]+)*")
_SYMBOL = r"[su][0-9]{1,9}"
#: What torch writes for a batch size that is not fixed, and for products of it.
_EXPRESSION = re.compile(
    rf"(Symbol\('{_SYMBOL}'(, (positive|nonnegative|integer)=(True|False))*\)"
    r"|(Integer|Mul|Add|Min|Max|FloorDiv)\(|-?(?<![0-9])[0-9]{1,9}(?![0-9])|[\s,)])+"
)
_MOST_EXPRESSION = 500
_MOST_NODES = 50_000
_MOST_DEPTH = 64
#: Parts of the document that hold graphs, objects and code, which no network here needs.
_REFUSED_KEYS = frozenset({"as_graph", "as_custom_obj", "as_operator", "as_string_to_argument", "custom_obj", "token"})
_NAMES = frozenset({"name", "as_name"})
_PATHS = frozenset(
    {"fqn", "parameter_name", "buffer_name", "tensor_constant_name", "user_input_name", "custom_obj_name"}
)
_KEPT_METADATA = frozenset({"nn_module_stack", "stack_trace", "torch_fn"})
_CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})
_CPU = {"type": "cpu", "index": None}


def checked(where: str, content: bytes) -> dict[str, Any]:
    """The document, on the CPU and without what no reader of networks needs; `where` names it in errors.

    Raises: UserError naming what in it is not allowed.
    """
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise UserError(f"{where}: it is no JSON object: save the model again with torch.export.save")
        return {str(key): _Walk(where).value(str(key), value, 0) for key, value in document.items()}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: it is no valid JSON ({str(error)[:80]}): save the model again") from None


class _Walk:
    """Copies a document value by value; the key that a value stands under says what it may be."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._rules: dict[str, Callable[[Any], Any]] = {
            "expr_str": self._expression,
            "target": self._target,
            "in_spec": self._tree,
            "out_spec": self._tree,
            "forward_arg_names": self._identifiers,
            "range_constraints": self._ranges,
            "nodes": self._nodes,
        }

    def value(self, key: str, value: Any, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise self._refusal("is nested too deeply", key)
        if key in _REFUSED_KEYS or (key == "custom_obj_values" and value):
            raise self._refusal("holds a subgraph, an object or a token", key)
        if key in ("device", "as_device"):
            return dict(_CPU)
        if key in ("guards_code", "treespec_namedtuple_fields"):  # code and classes, for calling the program
            return [] if key == "guards_code" else {}
        if key == "metadata":
            return {k: v for k, v in value.items() if k in _KEPT_METADATA} if isinstance(value, dict) else {}
        if isinstance(value, str):
            self._text(key, value)
        if rule := self._rules.get(key):
            rule(value)
        return self._inside(key, value, depth)

    def _inside(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, list):
            return [self.value("", item, depth + 1) for item in value]
        if isinstance(value, dict):
            if key.endswith("_values"):  # tensor_values and their like: by name
                self._identifiers(list(value))
            return {name: self.value(name, item, depth + 1) for name, item in value.items()}
        return value

    def _text(self, key: str, value: str) -> None:
        if key in _NAMES and value and not _is_identifier(value):
            raise self._refusal("names a value by what is no identifier", value)
        if key in _PATHS and value and not _DOTTED.fullmatch(value):
            raise self._refusal("names a tensor by what is no dotted path", value)

    def _identifiers(self, names: Any) -> None:
        for name in names or []:
            if not isinstance(name, str) or not _is_identifier(name):
                raise self._refusal("names a value by what is no identifier", name)

    def _expression(self, text: Any) -> None:
        if not isinstance(text, str) or len(text) > _MOST_EXPRESSION or not _EXPRESSION.fullmatch(text):
            raise self._refusal("has a shape that is neither a number nor a product of the batch size", text)

    def _target(self, target: Any) -> None:
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise self._refusal("calls what is none of PyTorch's own operators", target)

    def _ranges(self, ranges: Any) -> None:
        if not isinstance(ranges, dict) or not all(re.fullmatch(_SYMBOL, name) for name in ranges):
            raise self._refusal("has a range for what is no size", ranges)

    def _nodes(self, nodes: Any) -> None:
        if not isinstance(nodes, list) or len(nodes) > _MOST_NODES:
            raise self._refusal(f"has more than {_MOST_NODES} nodes", type(nodes).__name__)

    def _tree(self, text: Any) -> None:
        try:
            version, tree = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise self._refusal("has a malformed tree of inputs", text) from None
        if version != 1:
            raise self._refusal("has a tree of inputs of another version", version)
        waiting = [tree]
        while waiting:
            found = waiting.pop()
            if not isinstance(found, dict) or not isinstance(found.get("children_spec"), list):
                raise self._refusal("has a malformed tree of inputs", found)
            if not _is_plain_container(found):
                raise self._refusal("takes or returns more than tensors in tuples, lists and dictionaries", found)
            waiting.extend(found["children_spec"])

    def _refusal(self, what: str, found: Any) -> UserError:
        return UserError(
            f"{self._where}: refused, because it {what} ({str(found)[:80]!r}): save the model's state_dict() with "
            "torch.save instead, and name its class with --arch"
        )


def _is_plain_container(found: dict[str, Any]) -> bool:
    kind, context = found.get("type"), found.get("context")
    if not isinstance(kind, str | None) or kind not in _CONTAINERS:
        return False
    if kind != "builtins.dict":
        return context in (None, "null")
    keys = json.loads(context) if isinstance(context, str) else None
    return isinstance(keys, list) and all(isinstance(key, str) and _is_identifier(key) for key in keys)


def _is_identifier(name: str) -> bool:
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
