"""The command `build.py lock --check --security`."""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from worker_images.build import freshness, requirements
from worker_images.build.freshness import EXCEPTIONS, Freshness, Outdated
from worker_images.build.tars import Progress
from worker_images.errors import PolicyError
from worker_images.model.project import Project


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the check."""
    parser.add_argument(
        "--security",
        action="store_true",
        help="with --check: instead, list the locked packages of the images that Debian's archives"
        " have in newer versions",
    )
    parser.add_argument(
        "--fail-on",
        choices=("security",),
        help=f"with --security: exit 7 for a newer version in the security archive that"
        f" {EXCEPTIONS} does not name",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --security: print the result as JSON"
    )


def check(arguments: argparse.Namespace, loaded: Project, progress: Progress) -> str:
    """Return the packages with newer versions; raises PolicyError if --fail-on refuses one."""
    locked = requirements.load(loaded)
    found = freshness.check(loaded, locked, datetime.now(tz=UTC).date(), progress)
    shown = json.dumps(found.as_data(), indent=1) if arguments.json else text(found)
    if arguments.fail_on and found.refused:
        raise PolicyError(refusal(found), shown)
    return shown


def refusal(found: Freshness) -> str:
    """The message about security updates without an exception."""
    names = ", ".join(each.identity for each in found.refused)
    return (
        f"lock --fail-on security: not in {EXCEPTIONS}: {names}; run make lock, then make accept,"
        " or add an exception"
    )


def text(found: Freshness) -> str:
    """The packages with newer versions, and the next step."""
    lines = [f"{found.packages} locked Debian packages are in the images"]
    for archive, rows in (("security", found.security), ("main", found.main)):
        lines += [f"newer in the {archive} archive: {len(rows) or 'none'}", *_table(found, rows)]
    if found.security or found.main:
        lines.append("next: make lock, then make accept")
    return "\n".join(lines)


def _table(found: Freshness, rows: Sequence[Outdated]) -> Iterator[str]:
    width = max((len(each.package) for each in rows), default=0)
    for each in rows:
        images = f"{', '.join(each.variants)} on {', '.join(each.architectures)}"
        yield (
            f"  {each.package:{width}}  {each.locked} -> {each.newer}"
            f"  ({', '.join(each.owners)}; {images})"
        )
        if entry := found.exceptions.get(each.identity):
            yield f"    exception until {entry.expires} by {entry.owner}: {entry.reason}"
