"""The command `build.py update`."""

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from worker_images.build.tars import Progress
from worker_images.build.update import commits, edit, show
from worker_images.build.update.proposals import current, proposals
from worker_images.build.update.values import (
    PSEUDO_VERSION,
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
    date_of,
)
from worker_images.cli import parsers
from worker_images.errors import DocumentError, FetchError, ImageBuildError, PolicyError, UsageError
from worker_images.fetch import reach
from worker_images.files import atomic_path
from worker_images.model import patches, pins
from worker_images.model.drivers import gate
from worker_images.model.drivers.table import COMPONENT
from worker_images.model.pins import Pins
from worker_images.model.project import Project, read
from worker_images.model.stacked import open_pins

FORK = """\
components.gvisor.packages.replace names a fork, which update does not change
next: to take newer commits into the fork, see docs/forks.md"""
EXAMPLES = """\
examples:
  ./build.py update                              list newer commits and their drivers
  ./build.py update --write                      write the pins of the offered commit
  ./build.py update --cool-down 14 --json        require an age of two weeks; print JSON
  ./build.py update --commit v0.0.0-20260905035102-160fafc42237
                                                 also consider this commit

Renovate updates all other pins: docs/updating.md.

verdicts:
  offered        --write takes this commit
  cooling down   too recent; the end of the cool-down is shown
  held           a source does not answer, or no release serves the same drivers
  refused        the fleet would lose a driver

exit codes: 0 ok, also if nothing is offered; 2 usage or versions.yaml; 3 a source does not answer;
7 --write would lose a driver of the fleet; 130 interrupted. versions.yaml is replaced atomically.
"""


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    write: bool
    cool_down: int
    commit: list[str]
    within: float
    json: bool
    versions: Path


def command(argv: list[str], root: Path, progress: Progress) -> str:
    """Find newer commits of gVisor, and write the pins of the one that is offered."""
    options = Options(**vars(_parser(root).parse_args(argv)))
    # Not checked against the fleet: this command can fix a pin that does not serve it.
    project = read(root, options.versions)
    pinned, known = project.pins, Facts.read(root, project.table)
    _check_commits(pinned, options.commit)
    if pinned.components[COMPONENT].packages.replace:
        return show.as_json([], "") if options.json else FORK
    policy = Policy(datetime.now(UTC).date(), options.cool_down)
    progress(f"querying the module proxy for gVisor commits; at most {options.within:g} s")
    rows = list(proposals(pinned, _offers(project, known, options), known, policy))
    table = show.table(rows, policy.today)
    if not options.write:
        return show.as_json(rows, "") if options.json else f"{table}\n{show.step(rows)}"
    try:
        chosen = _chosen(rows)
        _write(project, chosen)
    except ImageBuildError as error:
        error.output = show.as_json(rows, "") if options.json else table
        raise
    if options.json:
        return show.as_json(rows, chosen.version if chosen else "")
    return f"{table}\n{result(options.versions, chosen, len(patches.read(root, COMPONENT)))}"


def _offers(project: Project, known: Facts, options: Options) -> list[Offer]:
    """Return newer commits within the time limit; raises FetchError."""

    def query() -> list[Offer] | ImageBuildError:
        try:
            origin = commits.of_project(os.environ, project)
            return commits.newer(origin, current(project.pins), options.commit, known)
        except ImageBuildError as error:
            return error

    timed_out = FetchError(f"no answer in {options.within:g} s; allow more time: --within SECONDS")
    answer = reach.run_all({COMPONENT: query}, options.within).get(COMPONENT, timed_out)
    if isinstance(answer, ImageBuildError):
        raise FetchError(f"gvisor: {answer}; check the network, proxies and GOPROXY") from answer
    return answer


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = parsers.of_command(
        "update",
        "Propose newer gVisor pins for versions.yaml.\nShows the NVIDIA drivers that each gains"
        " and loses.",
        EXAMPLES,
    )
    parser.add_argument("--write", action="store_true", help="write the pins to versions.yaml")
    _add_bounds(parser)
    parser.add_argument("--json", action="store_true", help="print the proposals as JSON")
    parsers.add_versions(parser, root, "read and write the pins in")
    return parser


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """Add the options of which commits to consider, and the time limit."""
    parser.add_argument(
        "--cool-down",
        type=_days,
        default=7,
        metavar="DAYS",
        help="offer only commits at least this old; default: 7",
    )
    parser.add_argument(
        "--commit",
        type=_commit,
        action="append",
        default=[],
        metavar="VERSION",
        help="also consider this version of the Go module; may be repeated",
    )
    parser.add_argument(
        "--within",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="time limit for all queries; default: 60",
    )


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return float(text)


def _commit(text: str) -> str:
    if not PSEUDO_VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a pseudo-version, such as v0.0.0-20260518063529-209a0ce076a1"
        )
    return text


def _check_commits(pinned: Pins, named: Sequence[str]) -> None:
    now = current(pinned)
    if older := [version for version in named if date_of(version) <= date_of(now)]:
        raise UsageError(
            f"--commit {' '.join(older)}: not newer than the pinned {now}; name a later commit"
        )


def _chosen(rows: Sequence[Proposal]) -> Proposal | None:
    """Return the offered proposal, or None.

    Raises PolicyError if the fleet would lose a driver, FetchError if a source did not answer.
    """
    by_verdict = {row.verdict: row for row in rows}
    if offered := by_verdict.get(Verdict.OFFERED):
        return offered
    if refused := by_verdict.get(Verdict.REFUSED):
        raise PolicyError(
            f"gvisor {refused.version}: {refused.reason}; nothing was written; keep the pin, or"
            " first change the nodes and fleet.drivers"
        )
    if failed := next((row for row in rows if row.source_failed), None):
        raise FetchError(
            f"gvisor {failed.version}: {failed.reason}; nothing was written; run again when the"
            " source answers"
        )
    return None


def _write(project: Project, chosen: Proposal | None) -> None:
    """Edit the pins file and replace it atomically; raises DocumentError for a new error."""
    if chosen is None:
        return
    path, name = project.versions.resolve(), str(project.versions)
    before = gate.findings(*pins.of(open_pins(path, project.tree, name)), project.table)
    data = edit.edited(path.read_bytes(), name, chosen.changes)
    with atomic_path(path) as part:
        part.write_bytes(data)
        part.chmod(path.stat().st_mode)
        after = gate.findings(*pins.of(open_pins(part, project.tree, name)), project.table)
        # Errors that the file already had do not block the change.
        if new := [found for found in after if found.key not in {each.key for each in before}]:
            raise DocumentError(
                [
                    replace(found, fix=f"nothing was written; {found.fix}, and run again")
                    for found in new
                ]
            )


def result(versions: Path, chosen: Proposal | None, patched: int) -> str:
    """What `--write` wrote, and the next step, which applies gVisor's patches."""
    if chosen is None:
        return "nothing was written: no commit is offered"
    lock = f"make lock, which applies gVisor's {patched} patches to it" if patched else "make lock"
    return (
        f"wrote gvisor {chosen.version}: {len(chosen.changes)} pins in {versions.name}\n"
        f"next: {lock}, then make accept; review the differences and commit them"
    )
