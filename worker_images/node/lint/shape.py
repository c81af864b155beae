"""Checks the types and limits of config.json before the rules read it."""

from collections.abc import Mapping
from typing import Any

from worker_images.node.lint.specification_types import SPECIFICATION, Shape, required_path
from worker_images.untrusted import UntrustedError, check_spelling, shown

# Go reads null as the zero value, which a map of strings keeps.
STRINGS = frozenset({"annotations", "sysctl", "unified"})


def checked(specification: object) -> Mapping[str, Any]:
    """Return a specification without members that are null.

    Raises UntrustedError, which names the place.
    """
    if not isinstance(specification, dict):
        raise UntrustedError("not an object")
    found: Mapping[str, Any] = _without_nulls(specification)
    _check(found, SPECIFICATION, "")
    return found


def _without_nulls(value: Any, name: str = "") -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if not isinstance(value, dict):
        return value
    members = ((key, "" if each is None else each) for key, each in value.items())
    kept = value.items() if name not in STRINGS else members
    return {key: _without_nulls(each, key) for key, each in kept if each is not None}


def _check(value: object, shape: Shape, where: str) -> None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise UntrustedError(f"{where}: not a list")
        for index, item in enumerate(value):
            _check(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise UntrustedError(f"{where}: not an object")
        _check_members(value, shape, where)
    elif problem := shape(value):
        raise UntrustedError(f"{where}: {problem}")


def _check_members(value: dict[str, object], shape: dict[str, Shape], where: str) -> None:
    check_spelling(value, frozenset(shape))
    for name, member in shape.items():
        if member is required_path and name not in value:
            raise UntrustedError(f"{where}: no {name}")
        for key in value if not name else {name} & value.keys():
            _check(value[key], member, f"{where}.{shown(key)}".removeprefix("."))
