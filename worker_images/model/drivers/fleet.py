"""A fleet's nodes, from lines `node driver` or from what kubectl says of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker_images.model.drivers.table import Table
from worker_images.model.drivers.version import VersionError, driver

# As NVIDIA's GPU feature discovery writes them; the second kind is the older.
LABEL = "nvidia.com/cuda.driver-version.full"
PARTS = (
    "nvidia.com/cuda.driver.major",
    "nvidia.com/cuda.driver.minor",
    "nvidia.com/cuda.driver.rev",
)
# The last column of `kubectl get nodes -L LABEL`, whose heading is the label's last part.
HEADING = LABEL.rpartition("/")[2].upper()


@dataclass(frozen=True)
class Node:
    """A node and its driver, empty where nothing says which."""

    name: str
    driver: str


def read(text: str, table: Table) -> tuple[Node, ...]:
    """Nodes in any of the three forms.

    Raises VersionError where a line is none, or where no node has a driver.
    """
    found = tuple(_nodes(text, table))
    if not any(each.driver for each in found):
        raise VersionError(
            f"no driver in these {len(found)} nodes; write lines `node driver`, or: kubectl get"
            f" nodes -L {LABEL}"
        )
    return found


def _nodes(text: str, table: Table) -> Iterator[Node]:
    if text.lstrip().startswith(("{", "[")):
        return _labelled(text, table)
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if lines and lines[0][1].split()[0] == "NAME":
        return _columns(lines, table)
    return _pairs(lines, table)


def _pairs(lines: list[tuple[int, str]], table: Table) -> Iterator[Node]:
    for number, line in lines:
        words = line.split()
        if len(words) != 2:
            raise VersionError(
                f"line {number}: {len(words)} words; write a node's name and its driver"
            )
        yield _node(words[0], words[1], f"line {number}", table)


def _columns(lines: list[tuple[int, str]], table: Table) -> Iterator[Node]:
    """By the columns' places: a node without the label has nothing there."""
    heading = lines[0][1]
    begin = heading.upper().find(HEADING)
    if begin < 0:
        raise VersionError(
            f"line {lines[0][0]}: no column {HEADING}; run: kubectl get nodes -L {LABEL}"
        )
    for number, line in lines[1:]:
        yield _node(line.split()[0], line[begin:].partition(" ")[0], f"line {number}", table)


def _labelled(text: str, table: Table) -> Iterator[Node]:
    try:
        value = json.loads(text)
        one = isinstance(value, dict) and value.get("kind") == "Node"
        items = [value] if one else value["items"] if isinstance(value, dict) else value
        rows = [
            (str(item["metadata"]["name"]), dict(item["metadata"].get("labels") or {}))
            for item in items
        ]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise VersionError(
            "this JSON is no list of nodes; run: kubectl get nodes -o json"
        ) from None
    for name, labels in rows:
        yield _node(name, _label(labels), f"node {name}", table)


def _label(labels: Mapping[str, object]) -> str:
    parts = [str(labels[part]) for part in PARTS if labels.get(part)]
    return str(labels.get(LABEL) or (".".join(parts) if PARTS[0] in labels else ""))


def _node(name: str, written: str, place: str, table: Table) -> Node:
    # What no terminal prints as it stands is quoted.
    name = name if name.isprintable() else ascii(name)
    try:
        return Node(name, driver(written, table) if written.strip() else "")
    except VersionError as error:
        raise VersionError(f"{place}: {error}") from None
