"""JSON becomes dataclasses with checked types."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from worker_images.typed import typed
from worker_images.untrusted import UntrustedError


@dataclass(frozen=True)
class Item:
    name: str
    size: int = 0
    new: bool = False


@dataclass(frozen=True)
class Box:
    items: tuple[Item, ...]
    named: Mapping[str, tuple[str, ...]]
    weight: float = 1.0


VALID = {"items": [{"name": "a"}], "named": {"x": ["y"]}}


def test_values_have_the_types_of_the_fields() -> None:
    assert typed(Box, VALID) == Box((Item("a"),), {"x": ("y",)})
    assert typed(Box, {**VALID, "weight": 2}).weight == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": 1}, "the file.items is not a list"),
        ({"items": [1]}, r"the file.items\[0\] is not an object"),
        ({"items": [{}]}, r"the file.items\[0\] has no name"),
        ({"items": [{"name": None}]}, r"the file.items\[0\].name is not a string"),
        ({"items": [{"name": "a", "size": True}]}, "size is not an integer"),
        ({"items": [{"name": "a", "size": 1.0}]}, "size is not an integer"),
        ({"items": [{"name": "a", "new": 1}]}, "new is not true or false"),
        ({"named": {"\x1b": [1]}}, r"the file.named.\\u001b\[0\] is not a string"),
        ({"weight": "1"}, "the file.weight is not a number"),
        ({"more": 1}, "the file.more is unknown"),
    ],
)
def test_value_of_another_type_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UntrustedError, match=message):
        typed(Box, {**VALID, **change})


@pytest.mark.parametrize("value", [None, [], 1, "a"])
def test_value_that_is_not_an_object_is_refused(value: object) -> None:
    with pytest.raises(UntrustedError, match="the file is not an object"):
        typed(Box, value)
