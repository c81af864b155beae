"""Text from outside: JSON that every reader reads alike, and text that is safe to print."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# The limit of containerd for manifests and configurations.
MAX_JSON_BYTES = 8 << 20
MAX_DEPTH = 64
# An integer of 64 bits has 19 digits and a sign; Python takes quadratic time for long ones.
MAX_DIGITS = 20
# Members of these objects are names that users choose; Go compares them with their case.
MAPS = frozenset({"Labels", "labels", "annotations", "ExposedPorts", "Volumes"})

UNSAFE = re.compile(r"[^\t\n\x20-\x7e]+")


class UntrustedError(ValueError):
    """A text that is not valid, or that two readers may read differently."""


def read_json(path: Path, most: int = MAX_JSON_BYTES) -> Any:  # noqa: ANN401 - any JSON
    """Read a file as parse_json does; raises UntrustedError and OSError."""
    with path.open("rb") as file:
        return parse_json(file.read(most + 1), most)


def parse_json(data: bytes, most: int = MAX_JSON_BYTES) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON in UTF-8; raises UntrustedError.

    Refuses what Go and Python read differently: duplicate keys, keys that differ only in case
    (outside of MAPS), and numbers that are not finite or have more than 64 bits.
    """
    if len(data) > most:
        raise UntrustedError(f"more than {most} bytes of JSON")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
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
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UntrustedError(f"duplicate key {shown(key)}")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise UntrustedError(f"{name} is not a number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise UntrustedError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UntrustedError(f"{shown(text)} is too large")
    return number


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
        raise UntrustedError("an unpaired surrogate") from error


def _check_keys(found: Mapping[str, object], name: str) -> None:
    for key in found:
        _check_characters(key)
    if name in MAPS:
        return
    folded: dict[str, str] = {}
    for key in found:
        other = folded.setdefault(key.casefold(), key)
        if other != key:
            raise UntrustedError(f"keys {shown(other)} and {shown(key)} differ only in case")


def check_spelling(found: Mapping[str, object], known: frozenset[str]) -> None:
    """Refuse a key that Go would read as a known one of another case; raises UntrustedError."""
    folded = {key.casefold(): key for key in known}
    for key in found.keys() - known:
        if other := folded.get(key.casefold()):
            raise UntrustedError(f"key {shown(key)} must be spelled {other}")


def printable(text: str) -> str:
    """Text with control, format and surrogate characters escaped, so that it is safe to print.

    JSON remains equal JSON: the escapes are those of JSON strings.
    """
    return UNSAFE.sub(lambda found: "".join(map(_escaped, found[0])), text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    pair = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[index : index + 4]}" for index in range(0, len(pair), 4))


def listed(texts: Iterable[str], most: int = 100) -> str:
    """Texts as lines for a message, without what terminals obey: the first ones, and a count."""
    lines = [shown(text, 400) for text in texts]
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])


def shown(text: str, most: int = 80) -> str:
    """Text for one line of a message: printable, without line breaks, and not longer than `most`.

    Only the part that is kept is read.
    """
    line = " ".join(printable(text[: most + 1]).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
