"""Frozen dataclasses to JSON and back, strictly: an unknown key or a wrong type is an error.

Understands what specs and results are made of: nested dataclasses, `tuple[T, ...]`,
`dict[str, T]`, `X | None`, `Literal`, and plain str, int, float and bool.
"""

import dataclasses
import math
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class RecordError(ValueError):
    """A JSON value does not fit the record; `path` says where ("data.columns")."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'the top level'}: {problem}")
        self.path = path


def to_json(record: Any) -> Any:  # any dataclass, or a value inside one
    """`record` as JSON values: objects, lists and plain values."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_json(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, dict):
        return {str(key): to_json(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_json(value) for value in record]
    return record


def from_json(cls: type[T], value: object, path: str = "") -> T:
    """The record of class `cls` in the JSON value `value`.

    Raises:
        RecordError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(value, dict):
        raise RecordError(path, f"expected an object, got {_name(value)}")
    hints = _hints(cls)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise RecordError(path, f"unknown field {unknown[0]!r}; known are {', '.join(hints)}")
    given = {key: _decode(hints[key], value[key], _join(path, key)) for key in value}
    missing = [name for name in _required(cls) if name not in given]
    if missing:
        raise RecordError(path, f"missing field {missing[0]!r}")
    return cls(**given)


def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _required(cls: type) -> list[str]:
    absent = dataclasses.MISSING
    return [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is absent and f.default_factory is absent
    ]


def _decode(hint: Any, value: object, path: str) -> object:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, path)  # type: ignore[arg-type]  # a dataclass is a type here
    if origin in (Union, types.UnionType):
        return _decode_optional(hint, value, path)
    if origin is Literal:
        return _decode_choice(get_args(hint), value, path)
    if origin is tuple:
        return _decode_tuple(get_args(hint), value, path)
    if origin is dict:
        return _decode_dict(get_args(hint)[1], value, path)
    return _decode_plain(hint, value, path)


def _decode_optional(hint: Any, value: object, path: str) -> object:
    if value is None:
        return None
    (inner,) = (arg for arg in get_args(hint) if arg is not types.NoneType)
    return _decode(inner, value, path)


def _decode_choice(choices: tuple[object, ...], value: object, path: str) -> object:
    if value not in choices:
        raise RecordError(path, f"expected one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def _decode_tuple(args: tuple[Any, ...], value: object, path: str) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):
        raise RecordError(path, f"expected a list, got {_name(value)}")
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        raise RecordError(path, f"expected {len(args)} values, got {len(value)}")
    pairs = enumerate(zip(args, value, strict=True))
    return tuple(_decode(arg, item, f"{path}[{i}]") for i, (arg, item) in pairs)


def _decode_dict(hint: Any, value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise RecordError(path, f"expected an object, got {_name(value)}")
    return {str(key): _decode(hint, item, _join(path, str(key))) for key, item in value.items()}


def _decode_plain(hint: Any, value: object, path: str) -> object:
    if hint in (Any, object):
        return value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise RecordError(path, f"expected {hint.__name__}, got {_name(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(path, "expected a finite number")
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _name(value: object) -> str:
    return "null" if value is None else type(value).__name__
