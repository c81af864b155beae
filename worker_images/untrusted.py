"""Text from outside: JSON that every reader reads alike, and text that is safe to print."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# The limit of containerd for manifests and configurations.
MAX_JSON_BYTES = 8 << 20
MAX_DEPTH = 64
# Members of these objects are names that users choose; Go compares them with their case.
MAPS = frozenset({"Labels", "labels", "annotations", "ExposedPorts", "Volumes"})


class UntrustedError(ValueError):
    """A text that is not valid, or that two readers may read differently."""


def parse_json(data: bytes, most: int = MAX_JSON_BYTES) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON in UTF-8; raises UntrustedError.

    Refuses what Go and Python read differently: duplicate keys, keys that differ in case alone
    (outside of MAPS), and numbers that are not finite.
    """
    if len(data) > most:
        raise UntrustedError(f"{len(data)} bytes of JSON, at most {most} are read")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except UntrustedError:
        raise
    except UnicodeDecodeError as error:
        raise UntrustedError(f"not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        raise UntrustedError(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise UntrustedError(f"not JSON: {error}") from error
    _check_objects(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UntrustedError(f"duplicate key {printable(twice)}")
    return found


def _refuse_constant(name: str) -> None:
    raise UntrustedError(f"{name} is not a number")


def _check_objects(value: object) -> None:
    """Check depth, keys and characters of all objects; does not recurse."""
    waiting: list[tuple[object, str, int]] = [(value, "", 1)]
    while waiting:
        each, name, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise UntrustedError(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(each, str):
            _check_characters(each)
        elif isinstance(each, list):
            waiting += [(item, name, depth + 1) for item in each]
        elif isinstance(each, dict):
            _check_keys(each, name)
            waiting += [(item, key, depth + 1) for key, item in each.items()]


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UntrustedError("a surrogate without its pair") from error


def _check_keys(found: Mapping[str, object], name: str) -> None:
    for key in found:
        _check_characters(key)
    if name in MAPS:
        return
    folded: dict[str, str] = {}
    for key in found:
        other = folded.setdefault(key.casefold(), key)
        if other != key:
            raise UntrustedError(f"keys {printable(other)} and {printable(key)} differ in case")


def check_spelling(found: Mapping[str, object], known: frozenset[str]) -> None:
    """Refuse a key that Go would read as a known one of another case; raises UntrustedError."""
    folded = {key.casefold(): key for key in known}
    for key in found.keys() - known:
        if other := folded.get(key.casefold()):
            raise UntrustedError(f"key {printable(key)} is spelled {other}")


def printable(text: str) -> str:
    """Text with control, format and surrogate characters escaped, so that terminals obey none."""
    return "".join(_escaped(text))


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        if character in "\n\t" or character.isprintable():
            yield character
        else:
            yield ascii(character)[1:-1]
