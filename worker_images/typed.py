"""JSON as frozen dataclasses, with all types checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from worker_images.untrusted import UntrustedError, shown

T = TypeVar("T")
NAMES: Mapping[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def typed(kind: type[T], value: object, where: str = "the file") -> T:
    """Return the value as a dataclass whose fields are texts, numbers, mappings, tuples of one type
    or such dataclasses; raises UntrustedError, which names the place.
    """
    found: T = _typed(kind, value, where)
    return found


def _typed(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401 - the type is a value here
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise UntrustedError(f"{where} is not a list")
        item = get_args(kind)[0]
        return tuple(_typed(item, each, f"{where}[{index}]") for index, each in enumerate(value))
    if get_origin(kind) is Mapping:
        member = get_args(kind)[1]
        return {key: _typed(member, each, name) for key, each, name in _members(value, where)}
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise UntrustedError(f"{where} is not {NAMES[kind]}")
    return value


def _dataclass(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints, values = get_type_hints(kind), {}
    for key, each, name in _members(value, where):
        if key not in fields:
            raise UntrustedError(f"{name} is unknown")
        values[key] = _typed(hints[key], each, name)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise UntrustedError(f"{where} has no {name}")
    return kind(**values)


def _members(value: object, where: str) -> list[tuple[str, object, str]]:
    """The members of an object, each with its place."""
    if not isinstance(value, dict):
        raise UntrustedError(f"{where} is not an object")
    return [(key, each, f"{where}.{shown(key)}") for key, each in value.items()]
