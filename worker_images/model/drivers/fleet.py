"""A fleet's nodes, from lines `node driver` or from the output of kubectl."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker_images.model.drivers.table import Table
from worker_images.model.drivers.version import VersionError, driver
from worker_images.untrusted import UntrustedError, parse_json, shown

# Labels that NVIDIA's GPU feature discovery writes; older releases write PARTS.
LABEL = "nvidia.com/cuda.driver-version.full"
PARTS = (
    "nvidia.com/cuda.driver.major",
    "nvidia.com/cuda.driver.minor",
    "nvidia.com/cuda.driver.rev",
)
# The last column of `kubectl get nodes -L LABEL`, whose heading is the label's last part.
HEADING = LABEL.rpartition("/")[2].upper()
# kubectl prints 20 kB for a node, and Kubernetes supports 5,000 nodes; names are those of DNS.
MAX_BYTES = 256 << 20
MAX_NAME = 253


@dataclass(frozen=True)
class Node:
    """A node and its driver; empty if the driver is unknown."""

    name: str
    driver: str


def read(text: str, table: Table) -> tuple[Node, ...]:
    """Nodes from lines, or from kubectl's table or JSON.

    Raises VersionError for a line that is not a node, or if no node has a driver.
    """
    found = tuple(_nodes(text, table))
    if not any(each.driver for each in found):
        raise VersionError(
            f"none of these {len(found)} nodes has a driver; use lines `node driver`, or the output"
            f" of: kubectl get nodes -L {LABEL}"
        )
    return found


def _nodes(text: str, table: Table) -> Iterator[Node]:
    if text.lstrip().startswith(("{", "[")):
        return _labelled(text, table)
    lines = [
        (number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if lines and lines[0][1].split()[0] == "NAME":
        return _columns(lines, table)
    return _pairs(lines, table)


def _pairs(lines: list[tuple[int, str]], table: Table) -> Iterator[Node]:
    for number, line in lines:
        fields = line.split()
        if len(fields) != 2:
            raise VersionError(
                f"line {number}: {len(fields)} fields; use 2, a node's name and its driver"
            )
        yield _node(fields[0], fields[1], f"line {number}", table)


def _columns(lines: list[tuple[int, str]], table: Table) -> Iterator[Node]:
    """Nodes of kubectl's table, whose column is empty for a node without the label."""
    heading = lines[0][1]
    begin = heading.upper().find(HEADING)
    if begin < 0:
        raise VersionError(
            f"line {lines[0][0]}: column {HEADING} is missing; run: kubectl get nodes -L {LABEL}"
        )
    for number, line in lines[1:]:
        yield _node(line.split()[0], line[begin:].partition(" ")[0], f"line {number}", table)


def _labelled(text: str, table: Table) -> Iterator[Node]:
    try:
        value = parse_json(text.encode(errors="surrogatepass"), MAX_BYTES)
        one = isinstance(value, dict) and value.get("kind") == "Node"
        items = [value] if one else value["items"] if isinstance(value, dict) else value
        rows = [_row(item["metadata"]) for item in items]
    except (UntrustedError, KeyError, TypeError) as error:
        reason = f" ({error})" if isinstance(error, UntrustedError) else ""
        raise VersionError(
            f"the JSON is not a list of nodes{reason}; run: kubectl get nodes -o json"
        ) from None
    for name, written in rows:
        yield _node(name, written, f"node {shown(name)}", table)


def _row(metadata: Mapping[str, object]) -> tuple[str, str]:
    """A node's name and the driver of its labels; raises TypeError, KeyError, UntrustedError."""
    name, labels = metadata["name"], metadata.get("labels") or {}
    if not isinstance(name, str) or not isinstance(labels, dict):
        raise TypeError
    known = {key: labels[key] for key in (LABEL, *PARTS) if labels.get(key)}
    if invalid := [key for key, value in known.items() if not isinstance(value, str)]:
        raise UntrustedError(f"node {shown(name)}: label {invalid[0]} is not a string")
    return name, labelled(known)


def labelled(labels: Mapping[str, str]) -> str:
    """The driver in a node's labels; empty without one."""
    parts = [labels[part] for part in PARTS if labels.get(part)]
    return labels.get(LABEL, "") or (".".join(parts) if labels.get(PARTS[0]) else "")


def _node(name: str, written: str, place: str, table: Table) -> Node:
    if not 0 < len(name) <= MAX_NAME:
        raise VersionError(f"{place}: a node's name has 1 to {MAX_NAME} characters")
    try:
        # A name that could control a terminal is shown escaped, also in JSON.
        return Node(shown(name, MAX_NAME), driver(written, table) if written.strip() else "")
    except VersionError as error:
        raise VersionError(f"{place}: {error}") from None
