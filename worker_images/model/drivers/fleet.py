"""A fleet's nodes, from lines `node driver` or from the output of kubectl."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker_images.model.drivers import kernel
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
# Kubernetes itself writes this label, on every node.
ARCHITECTURE = "kubernetes.io/arch"
# NVIDIA's discovery writes "true" on guests of a vGPU host.
VGPU = "nvidia.com/vgpu.present"
# Columns of `kubectl get nodes -L LABEL`, whose heading is the label's last part.
HEADING = LABEL.rpartition("/")[2].upper()
ARCHITECTURE_HEADING = ARCHITECTURE.rpartition("/")[2].upper()
# What kubectl prints for a label that a node does not have.
NONE = "<none>"
# kubectl prints 20 kB for a node, and Kubernetes supports 5,000 nodes; names are those of DNS.
MAX_BYTES = 256 << 20
MAX_NAME = 253


@dataclass(frozen=True)
class Node:
    """A node and its driver; empty if the driver is unknown.

    `architecture` is amd64, arm64 or empty. `kind` is kernel.VGPU or empty. `problem` says why the
    text is not a driver's version.
    """

    name: str
    driver: str
    architecture: str = ""
    problem: str = ""
    kind: str = ""


def read(text: str, table: Table) -> tuple[Node, ...]:
    """Nodes from lines, or from kubectl's table or JSON.

    Raises VersionError for a line that is not a node, or if no node has a driver. A node with
    another text than a version keeps that problem, and hides no other node.
    """
    found = tuple(_nodes(text, table))
    if not any(each.driver or each.problem for each in found):
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
        fields = line.partition(" #")[0].split()
        architecture = _architecture(fields[2]) if len(fields) == 3 else ""
        if len(fields) != 2 and not architecture:
            noun = "field" if len(fields) == 1 else "fields"
            raise VersionError(
                f"line {number}: {len(fields)} {noun}; use a node's name and its driver, or the"
                " output of: kubectl get nodes -o json"
            )
        yield _node(fields[0], fields[1], f"line {number}", table, architecture)


def _columns(lines: list[tuple[int, str]], table: Table) -> Iterator[Node]:
    """Nodes of kubectl's table, whose column is empty for a node without the label."""
    heading = lines[0][1].upper()
    begin = heading.find(HEADING)
    if begin < 0:
        raise VersionError(
            f"line {lines[0][0]}: column {HEADING} is missing; run: kubectl get nodes -L {LABEL}"
        )
    column = re.search(rf"(?<=\s){ARCHITECTURE_HEADING}(?=\s|$)", heading)
    for number, line in lines[1:]:
        architecture = _architecture(_cell(line, column.start())) if column else ""
        name = line.split()[0]
        yield _node(name, _cell(line, begin), f"line {number}", table, architecture)


def _cell(line: str, begin: int) -> str:
    return line[begin:].partition(" ")[0]


def _architecture(text: str) -> str:
    """amd64 or arm64, as Kubernetes or Linux name them; empty for another text."""
    name = kernel.ARCHITECTURES.get(text, text)
    return name if name in kernel.ARCHITECTURES.values() else ""


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
    for name, written, architecture, kind in rows:
        yield _node(name, written, f"node {shown(name)}", table, architecture, kind)


def _row(metadata: Mapping[str, object]) -> tuple[str, str, str, str]:
    """A node's name, and the driver, architecture and kind of its labels.

    Raises TypeError, KeyError, UntrustedError.
    """
    name, labels = metadata["name"], metadata.get("labels") or {}
    if not isinstance(name, str) or not isinstance(labels, dict):
        raise TypeError
    known = {key: labels[key] for key in (LABEL, *PARTS) if labels.get(key)}
    if invalid := [key for key, value in known.items() if not isinstance(value, str)]:
        raise UntrustedError(f"node {shown(name)}: label {invalid[0]} is not a string")
    architecture = labels.get(ARCHITECTURE)
    kind = kernel.VGPU if labels.get(VGPU) == "true" else ""
    return name, labelled(known), architecture if isinstance(architecture, str) else "", kind


def labelled(labels: Mapping[str, str]) -> str:
    """The driver in a node's labels; empty without one."""
    parts = [labels[part] for part in PARTS if labels.get(part)]
    return labels.get(LABEL, "") or (".".join(parts) if labels.get(PARTS[0]) else "")


def _node(
    name: str, written: str, place: str, table: Table, architecture: str = "", kind: str = ""
) -> Node:
    if not 0 < len(name) <= MAX_NAME:
        raise VersionError(f"{place}: a node's name has 1 to {MAX_NAME} characters")
    # A name that could control a terminal is shown escaped, also in JSON.
    printable = shown(name, MAX_NAME)
    if written.strip() in ("", NONE):
        return Node(printable, "", architecture)
    try:
        return Node(printable, driver(written, table), architecture, kind=kind)
    except VersionError as error:
        return Node(printable, "", architecture, str(error))
