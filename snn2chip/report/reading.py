"""JSON documents back to the dataclasses that wrote them. Every wrong value is named by its place in the document."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from snn2chip.errors import UserError

T = TypeVar("T")


def build(cls: type[T], document: Any, place: str) -> T:
    """The dataclass `cls` from a JSON object whose keys are exactly its fields.

    Raises: UserError that begins with `place`, such as ``report.json: networks[0].energy``.
    """
    _require(isinstance(document, Mapping), place, "an object", document)
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cast(Any, cls))]
    _same_keys(names, document, place)
    return cls(**{name: _value(hints[name], document[name], f"{place}.{name}") for name in names})


def _same_keys(names: list[str], document: Mapping[str, Any], place: str) -> None:
    missing = [name for name in names if name not in document]
    if missing:
        raise UserError(f"{place}: '{missing[0]}' is missing: write the report again with `snn2chip simulate --json`")
    unknown = sorted(set(document) - set(names))
    if unknown:
        raise UserError(f"{place}: '{unknown[0]}' is not a key of this schema: remove it")


def _value(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _optional(kind, value, place)
    if origin is tuple:
        return _rows(get_args(kind)[0], value, place)
    if origin is dict:
        _require(isinstance(value, dict), place, "an object", value)
        return value
    return _plain(kind, value, place)


def _optional(kind: Any, value: Any, place: str) -> Any:
    if value is None:
        return None
    (inner,) = (option for option in get_args(kind) if option is not types.NoneType)
    return _value(inner, value, place)


def _rows(kind: Any, value: Any, place: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), place, "a list", value)
    return tuple(_value(kind, item, f"{place}[{index}]") for index, item in enumerate(value))


def _plain(kind: Any, value: Any, place: str) -> Any:
    if kind is str:
        _require(isinstance(value, str), place, "a text", value)
    elif kind is int:
        _require(isinstance(value, int) and not isinstance(value, bool), place, "a whole number", value)
    elif kind is float:
        _require(_is_number(value), place, "a finite number", value)
    else:
        return build(kind, value, place)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, place: str, wanted: str, value: Any) -> None:
    if not condition:
        raise UserError(f"{place}: expected {wanted} and found {value!r:.60}")
