"""`build.py update`: arguments to the text of an answer."""

import argparse
import json
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
    PSEUDO,
    Facts,
    Offer,
    Policy,
    Proposal,
    Verdict,
    date_of,
)
from worker_images.errors import DocumentError, FetchError, ImageBuildError, PolicyError, UsageError
from worker_images.fetch import reach
from worker_images.files import atomic_path
from worker_images.model import pins
from worker_images.model.component import GoModule
from worker_images.model.drivers import gate
from worker_images.model.drivers.table import COMPONENT, Table
from worker_images.model.pins import Pins
from worker_images.model.project import Project, read

CHECKSUMS = "images/components/gvisor/checksums.json"
EXAMPLES = """\
examples:
  ./build.py update                              newer commits, and what they mean for the fleet
  ./build.py update --write                      take the one that is offered
  ./build.py update --cool-down 14 --json        nothing younger than two weeks, as JSON
  ./build.py update --commit v0.0.0-20260905035102-160fafc42237
                                                 a commit that cooled down when it was the latest

All other pins are updated by Renovate: docs/updating.md.

verdicts: offered; cooling down, with the day on which that ends; held, where a source does not
answer or no release serves the same drivers; refused, where the fleet would lose a driver.

exit codes: 0 ok, also where nothing is offered; 2 usage or versions.yaml; 3 the module proxy does
not answer, or a source that --write needs; 7 --write would lose a driver of the fleet;
130 interrupted. versions.yaml is written whole or not at all.
"""


@dataclass(frozen=True)
class Options:
    """What the reader typed."""

    write: bool
    cool_down: int
    commit: list[str]
    within: float
    json: bool
    versions: Path


def command(argv: list[str], root: Path, progress: Progress) -> str:
    """Find newer commits of gVisor, and write the pins of the one that is offered."""
    options = Options(**vars(_parser(root).parse_args(argv)))
    # Not checked against the fleet: a pin that does not serve it may be corrected here.
    project = read(root, options.versions)
    pinned, known = project.pins, facts(root, project.table)
    _check_commits(pinned, options.commit)
    policy = Policy(datetime.now(UTC).date(), options.cool_down)
    progress(f"reading the sources of gVisor; at most {options.within:g} s")
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
    return f"{table}\n{_result(options.versions, chosen)}"


def facts(root: Path, releases: Table) -> Facts:
    """The tables beside the component."""
    checksums = json.loads((root / CHECKSUMS).read_text())["runsc_sha512"]
    sha512 = {release: row["amd64"] for release, row in checksums.items()}
    return Facts(releases, sha512)


def _offers(project: Project, known: Facts, options: Options) -> list[Offer]:
    """What the sources have, in bounded time; raises FetchError."""

    def found() -> list[Offer] | ImageBuildError:
        try:
            ours = commits.sources(os.environ, _module(project))
            return commits.newer(ours, current(project.pins), options.commit, known)
        except ImageBuildError as error:
            return error

    late = FetchError(f"no answer in {options.within:g} s; allow more: --within SECONDS")
    answer = reach.run_all({COMPONENT: found}, options.within).get(COMPONENT, late)
    if isinstance(answer, ImageBuildError):
        raise FetchError(f"gvisor: {answer}; check the network, proxies and GOPROXY") from answer
    return answer


def _module(project: Project) -> str:
    """The Go module that component.yaml names."""
    definition = project.catalog.components[COMPONENT].packages
    if not isinstance(definition, GoModule):
        raise UsageError(f"{COMPONENT}: component.yaml names no Go module")
    return definition.module


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py update",
        description=(
            "Propose newer pins of gVisor for versions.yaml, with the NVIDIA drivers that they gain"
            " and lose."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="edit versions.yaml in place")
    _add_bounds(parser)
    parser.add_argument(
        "--json", action="store_true", help="the proposals as JSON on standard output"
    )
    parser.add_argument(
        "--versions",
        type=lambda name: Path(name).absolute(),
        default=root / "versions.yaml",
        metavar="FILE",
        help="pins to use instead of versions.yaml",
    )
    return parser


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """Which commits are considered, and for how long."""
    parser.add_argument(
        "--cool-down",
        type=_days,
        default=7,
        metavar="DAYS",
        help="offer nothing younger; default: 7",
    )
    parser.add_argument(
        "--commit",
        type=_commit,
        action="append",
        default=[],
        metavar="VERSION",
        help="also consider this commit, a version of the Go module",
    )
    parser.add_argument(
        "--within",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long the sources may take; default: 60",
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
    if not PSEUDO.fullmatch(text):
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
    """The proposal to write.

    Raises PolicyError where the fleet forbids all, FetchError where a source did not answer.
    """
    by_verdict = {row.verdict: row for row in rows}
    if offered := by_verdict.get(Verdict.OFFERED):
        return offered
    if refused := by_verdict.get(Verdict.REFUSED):
        raise PolicyError(
            f"gvisor {refused.version}: {refused.reason}; nothing was written; keep the pin, or"
            " change the nodes and fleet.drivers first"
        )
    if silent := next((row for row in rows if row.unanswered), None):
        raise FetchError(
            f"gvisor {silent.version}: {silent.reason}; nothing was written; run again when the"
            " source answers"
        )
    return None


def _write(project: Project, chosen: Proposal | None) -> None:
    """The file as it is now, edited and put in place at once."""
    if chosen is None:
        return
    path, name = project.versions.resolve(), str(project.versions)
    before = gate.findings(*pins.load(path, name), project.table)
    data = edit.edited(path.read_bytes(), name, chosen.changes)
    with atomic_path(path) as part:
        part.write_bytes(data)
        part.chmod(path.stat().st_mode)
        after = gate.findings(*pins.load(part, name), project.table)
        # A fault that was there before is not a reason to keep the pin: this may correct it.
        if new := [found for found in after if found.key not in {each.key for each in before}]:
            raise DocumentError(
                [
                    replace(found, fix=f"nothing was written; {found.fix}, and run again")
                    for found in new
                ]
            )


def _result(versions: Path, chosen: Proposal | None) -> str:
    if chosen is None:
        return "nothing was written: no commit is offered"
    return (
        f"wrote gvisor {chosen.version}: {len(chosen.changes)} pins in {versions.name}\n"
        "next: make lock, then make accept; review the differences and commit them"
    )
