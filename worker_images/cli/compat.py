"""build.py compat: which gVisor serves which NVIDIA driver, asked before a roll-out."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker_images.errors import PolicyError, UsageError
from worker_images.files import write_atomic
from worker_images.model import document
from worker_images.model.drivers import chart, compat, fleet, kernel, version
from worker_images.model.drivers.compat import CompatResult, Pinned
from worker_images.model.drivers.table import COMPONENT, DRIVERS, Release, Table, read
from worker_images.model.drivers.version import VersionError

EXAMPLES = """\
examples:
  ./build.py compat --driver 535.129.03 580.159.04       the releases that serve both
  ./build.py compat --driver 535.129.03 --release 20250407.0
  ./build.py compat --release 20260622.0                 what that release serves and knows
  ./build.py compat --from 20260622.0 --to 20260817.0    what a change gains, loses and breaks
  ./build.py compat --node                               whether this machine is served
  kubectl get nodes -o json | ./build.py compat --fleet -
  ./build.py compat --svg docs/drivers.svg               every release and driver as a chart

exit codes: 0 served by the release (--release, or the pinned one), 2 usage, 7 not served
"""
SMI = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def command(argv: list[str], root: Path, _: Callable[[str], None]) -> str:
    """CompatResult one question; raises UsageError for nonsense, and PolicyError, which carries the
    answer, where something is not served.
    """
    given = _parser(root).parse_args(argv)
    try:
        found = _answer(given, read(root / DRIVERS), _pinned(given.versions))
    except VersionError as error:
        raise UsageError(f"compat: {error}") from None
    text = (
        json.dumps({**found.data, "served": not found.error}, indent=1)
        if given.json
        else found.text
    )
    if found.error:
        raise PolicyError(f"compat: {found.error}", text)
    return text


def _pinned(path: Path) -> Pinned:
    """What versions.yaml says of gVisor and the fleet.

    The rest of it is not asked about here, so nothing heavy reads it.
    """
    value: Any = document.read(path).value
    try:
        release, drivers = value["components"][COMPONENT]["version"], value["fleet"]["drivers"]
        allowed = {
            each["driver"]: each["reason"] for each in value["fleet"].get("allow_unserved", [])
        }
    except (KeyError, TypeError, AttributeError):
        release, drivers, allowed = "", "", {}
    texts = isinstance(drivers, list) and all(
        isinstance(each, str) for each in (release, *drivers, *allowed, *allowed.values())
    )
    if texts and all(version.DRIVER.fullmatch(each) for each in (*drivers, *allowed)):
        return Pinned(release, tuple(drivers), allowed)
    # Its faults are told by the one that knows its whole form.
    from worker_images.model import pins

    pinned, _ = pins.load(path)
    release = pinned.components[COMPONENT].version if COMPONENT in pinned.components else ""
    return Pinned(
        release,
        pinned.fleet.drivers,
        {each.driver: each.reason for each in pinned.fleet.allow_unserved},
    )


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py compat",
        description=(
            "Which gVisor release serves which NVIDIA driver: nvproxy takes an exact list, and"
            " refuses every other."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_questions(parser)
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="write releases and drivers as a chart"
    )
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.add_argument(
        "--versions",
        type=Path,
        default=root / "versions.yaml",
        metavar="FILE",
        help="pins to use instead of versions.yaml",
    )
    return parser


def _add_questions(parser: argparse.ArgumentParser) -> None:
    """What is asked."""
    parser.add_argument(
        "--driver", nargs="+", metavar="V", help="the releases that serve all of these"
    )
    parser.add_argument(
        "--release",
        metavar="R",
        help="ask about this release instead of the pinned one; alone: what it serves and knows",
    )
    parser.add_argument(
        "--from",
        dest="old",
        metavar="A",
        help="with --to: what a change of release gains, loses and breaks",
    )
    parser.add_argument(
        "--to", dest="new", metavar="B", help="with --from; default: the pinned release"
    )
    parser.add_argument("--node", action="store_true", help="this machine's own driver")
    parser.add_argument(
        "--fleet",
        metavar="FILE|-",
        help="nodes: lines `node driver`, or what kubectl get nodes says, -o json or -L LABEL",
    )


def _answer(given: argparse.Namespace, table: Table, pinned: Pinned) -> CompatResult:
    asked = [name for name in ("driver", "old", "node", "fleet", "svg") if getattr(given, name)]
    if (
        len(asked) > 1
        or not (asked or given.release)
        or (given.new and not given.old)
        or (given.old and given.release)
    ):
        raise VersionError(
            "ask one question: --driver, --release, --from with --to, --node, --fleet or --svg;"
            " --help has examples"
        )
    if given.svg:
        if given.svg.is_dir() or not given.svg.parent.is_dir():
            raise VersionError(
                f"--svg {str(given.svg)!r}: no file can be written there; name one in a folder that"
                " there is"
            )
        write_atomic(given.svg, chart.svg(table, pinned))
        return CompatResult({"svg": str(given.svg)}, str(given.svg))
    if given.old:
        old, new = (_row(name, table, pinned) for name in (given.old, given.new))
        return compat.change(old, new, table, pinned)
    row = _row(given.release, table, pinned)
    if given.driver:
        names = tuple(dict.fromkeys(version.driver(each, table) for each in given.driver))
        return compat.drivers(names, row, table, pinned)
    if given.node:
        return compat.node(*_node(), row, table, pinned)
    if given.fleet:
        return compat.fleet(fleet.read(_text(given.fleet), table), row, table, pinned)
    return compat.release(row, table, pinned)


def _row(named: str | None, table: Table, pinned: Pinned) -> Release:
    """The release that is named, or else the pinned one.

    Raises VersionError where the table has no such row.
    """
    if named is None and not pinned.release:
        raise VersionError(
            "versions.yaml pins no gvisor; name a release with --release, or --from with --to"
        )
    name = version.release(named if named is not None else pinned.release, table)
    return next(each for each in table if each.name == name)


def _text(name: str) -> str:
    if name == "-" and sys.stdin is None:
        raise UsageError("compat: -: standard input is closed; give it nodes, or name a file")
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"compat: {name}: {getattr(error, 'strerror', '') or 'not text'}; name a file of nodes,"
            " or -"
        ) from None


def _node(file: Path = Path(kernel.VERSION)) -> tuple[str, str]:
    """The driver of this machine, and who says so; raises VersionError without one."""
    if found := kernel.version_of(file):
        return found, str(file)
    try:
        said = subprocess.run(
            SMI, capture_output=True, text=True, check=False, timeout=20
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        said = []
    if not said or not version.DRIVER.fullmatch(said[0]):
        raise VersionError(
            f"{kernel.NO_DRIVER}, and no answer of nvidia-smi; load the driver, or ask with"
            " --driver"
        )
    return said[0], SMI[0]
