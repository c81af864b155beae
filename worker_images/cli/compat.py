"""The command `build.py compat`: which gVisor release serves which NVIDIA driver."""

import argparse
import contextlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker_images.cli import parsers
from worker_images.errors import PolicyError, UsageError
from worker_images.files import write_atomic
from worker_images.model.drivers import chart, compat, fleet, fleet_compat, kernel, version
from worker_images.model.drivers.compat import CompatResult, Pinned
from worker_images.model.drivers.kernel import Machine
from worker_images.model.drivers.table import COMPONENT, DRIVERS, Release, Table, read
from worker_images.model.drivers.version import VersionError
from worker_images.model.stacked import open_pins
from worker_images.model.tree import Tree

EXAMPLES = """\
examples:
  ./build.py compat --driver 535.129.03 580.159.04       list the releases that serve both
  ./build.py compat --driver 535.129.03 --release 20250407.0
                                                         check one driver against one release
  ./build.py compat --release 20260622.0                 list the drivers of a release
  ./build.py compat --from 20260622.0 --to 20260817.0    compare two releases
  ./build.py compat --node                               check the driver of this machine
  kubectl get nodes -o json | ./build.py compat --fleet -
                                                         check every node of a cluster
  ./build.py compat --svg docs/drivers.svg               draw releases and drivers as a chart

exit codes: 0 served by the release (--release, or the pinned one), 2 usage, 7 not served
"""
SMI = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def command(argv: list[str], root: Path, _: Callable[[str], None]) -> str:
    """Return the answer to one query.

    Raises UsageError for invalid arguments, and PolicyError, which carries the answer, if a driver
    is not served.
    """
    arguments = _parser(root).parse_args(argv)
    try:
        tree = Tree(root)
        pinned = _pinned(arguments.versions, tree)
        found = _answer(arguments, read(tree.find(DRIVERS)), pinned)
    except VersionError as error:
        raise UsageError(f"compat: {error}") from None
    text = (
        json.dumps({**found.data, "served": not found.error}, indent=1)
        if arguments.json
        else found.text
    )
    if found.error:
        raise PolicyError(f"compat: {found.error}", text)
    return text


def _pinned(path: Path, tree: Tree) -> Pinned:
    """Return the gVisor release and the fleet drivers of versions.yaml.

    Reads only these keys: validating the file with pydantic takes longer than the command.
    """
    opened = open_pins(path, tree)
    value: Any = opened.value
    try:
        release, drivers = value["components"][COMPONENT]["version"], value["fleet"]["drivers"]
        allowed = {
            each["driver"]: each["reason"] for each in value["fleet"].get("allow_unserved", [])
        }
    except (KeyError, TypeError, AttributeError):
        release, drivers, allowed = "", "", {}
    valid = isinstance(drivers, list) and all(
        isinstance(each, str) for each in (release, *drivers, *allowed, *allowed.values())
    )
    if valid and all(version.DRIVER.fullmatch(each) for each in (*drivers, *allowed)):
        return Pinned(release, tuple(drivers), allowed)
    # The full parser reports the errors.
    from worker_images.model import pins

    pinned, _ = pins.of(opened)
    release = pinned.components[COMPONENT].version if COMPONENT in pinned.components else ""
    return Pinned(
        release,
        pinned.fleet.drivers,
        {each.driver: each.reason for each in pinned.fleet.allow_unserved},
    )


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = parsers.of_command(
        "compat",
        (
            "Show which gVisor releases serve which NVIDIA drivers.\nnvproxy accepts only the"
            " driver versions compiled into runsc."
        ),
        EXAMPLES,
    )
    _add_queries(parser)
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="write a chart of all releases and drivers"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parsers.add_versions(parser, root)
    return parser


def _add_queries(parser: argparse.ArgumentParser) -> None:
    """Add the options of the queries."""
    parser.add_argument(
        "--driver",
        nargs="+",
        metavar="VERSION",
        help="list the releases that serve all these drivers",
    )
    parser.add_argument(
        "--arch",
        type=lambda name: kernel.ARCHITECTURES.get(name, name),
        choices=sorted(kernel.ARCHITECTURES.values()),
        help="with --driver: name only drivers that NVIDIA publishes for this architecture",
    )
    parser.add_argument(
        "--release",
        metavar="RELEASE",
        help="use this release instead of the pinned one; alone: list its drivers",
    )
    parser.add_argument(
        "--from",
        dest="old",
        metavar="RELEASE",
        help="with --to: list the drivers that a change of release gains and loses",
    )
    parser.add_argument(
        "--to", dest="new", metavar="RELEASE", help="with --from; default: the pinned release"
    )
    parser.add_argument("--node", action="store_true", help="check the driver of this machine")
    parser.add_argument(
        "--fleet",
        metavar="FILE|-",
        help=(
            "check nodes: lines `node driver` or `node driver architecture`, or the output of"
            " kubectl get nodes, -o json or -L LABEL"
        ),
    )


def _answer(arguments: argparse.Namespace, table: Table, pinned: Pinned) -> CompatResult:
    _check_queries(arguments)
    if arguments.svg:
        return _write_chart(arguments.svg, table, pinned)
    if arguments.old:
        old, new = (_row(name, table, pinned) for name in (arguments.old, arguments.new))
        return compat.change(old, new, table, pinned)
    row = _row(arguments.release, table, pinned)
    if arguments.driver:
        names = tuple(dict.fromkeys(version.driver(each, table) for each in arguments.driver))
        return compat.drivers(names, row, table, pinned, arguments.arch or "")
    if arguments.node:
        return compat.node(_node(), row, table, pinned)
    if arguments.fleet:
        return fleet_compat.check(fleet.read(_text(arguments.fleet), table), row, table, pinned)
    return compat.release(row, table, pinned)


def _check_queries(arguments: argparse.Namespace) -> None:
    """Raise VersionError unless the options form one query."""
    names = ("driver", "old", "node", "fleet", "svg")
    queries = [name for name in names if getattr(arguments, name)]
    is_one = len(queries) == 1 or (not queries and arguments.release)
    to_without_from = arguments.new and not arguments.old
    from_with_release = arguments.old and arguments.release
    arch_without_driver = arguments.arch and not arguments.driver
    if not is_one or to_without_from or from_with_release or arch_without_driver:
        raise VersionError(
            "give one of --driver, --release, --from with --to, --node, --fleet and --svg;"
            " see --help"
        )


def _write_chart(path: Path, table: Table, pinned: Pinned) -> CompatResult:
    if path.is_dir() or not path.parent.is_dir():
        raise VersionError(
            f"--svg {str(path)!r}: not a file in an existing folder; name another file"
        )
    write_atomic(path, chart.svg(table, pinned))
    return CompatResult({"svg": str(path)}, str(path))


def _row(named: str | None, table: Table, pinned: Pinned) -> Release:
    """Return the named release, or the pinned one without a name.

    Raises VersionError if the table has no such release.
    """
    if named is None and not pinned.release:
        raise VersionError(
            "versions.yaml does not pin gvisor; name a release: --release, or --from with --to"
        )
    name = version.release(named if named is not None else pinned.release, table)
    return next(each for each in table if each.name == name)


def _text(name: str) -> str:
    if name == "-" and sys.stdin is None:
        raise UsageError("compat: -: standard input is closed; pipe nodes to it, or name a file")
    try:
        with Path(name).open() if name != "-" else contextlib.nullcontext(sys.stdin) as file:
            text = file.read(fleet.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"compat: {name}: {getattr(error, 'strerror', '') or 'not text'}; name a file with"
            " nodes, or - for standard input"
        ) from None
    if len(text) > fleet.MAX_BYTES:
        raise UsageError(
            f"compat: {name}: longer than {fleet.MAX_BYTES >> 20} MiB; use the output of: kubectl"
            f" get nodes -L {fleet.LABEL}"
        )
    return text


def _node(root: Path = Path("/")) -> Machine:
    """Return the driver of this machine; raises VersionError without a driver."""
    if found := kernel.read(root):
        return found
    try:
        output = subprocess.run(
            SMI, capture_output=True, text=True, check=False, timeout=20
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        output = []
    if not output or not version.DRIVER.fullmatch(output[0]):
        raise VersionError(
            f"{kernel.NO_DRIVER} and nvidia-smi reports no driver; load the driver, or name one"
            " with --driver"
        )
    architecture = kernel.ARCHITECTURES.get(platform.machine(), "")
    return kernel.without_module(output[0], SMI[0], architecture, root)
