"""`build.py update`: arguments to the text of an answer."""

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from worker_images.build.tars import Tell
from worker_images.build.update import edit, gather, order, show
from worker_images.build.update.proposals import CUDA, GVISOR, proposals
from worker_images.build.update.values import Policy, Proposal, Verdict
from worker_images.errors import DocumentError, FetchError, ImageBuildError, PolicyError, UsageError
from worker_images.files import whole
from worker_images.model import pins, project
from worker_images.model.drivers import gate

EXAMPLES = """\
examples:
  ./build.py update                              what is newer, and what that means for the fleet
  ./build.py update --write                      take all that is offered
  ./build.py update --write runc go              take these two
  ./build.py update --cool-down 14 --json        nothing younger than two weeks, for machines
  ./build.py update --major                      other release lines of Go and CUDA too
  ./build.py update --gvisor v0.0.0-20260905035102-160fafc42237
                                                 a commit that was too young when it was the latest

verdicts: offered; too young, with the day on which it is ripe; held, where a digest or a date is
missing, with the source that does not give it; refused, where a driver of the fleet would be lost.

exit codes: 0 ok, also where nothing is to be written; 2 usage or versions.yaml; 3 no source
answers, or not that of a component named with --write; 7 --write would lose a driver of the fleet;
130 interrupted. versions.yaml is written whole or not at all.
"""
# What a bump of a component leaves to do by hand.
BY_HAND = {
    CUDA: (
        "images/components/cuda-runtime names the library's file, its SHA-256 and its folder:"
        " change them too"
    )
}


def command(argv: list[str], root: Path, tell: Tell) -> str:
    """Ask the sources, and write what may be taken where that is asked for."""
    arguments = _parser(root).parse_args(argv)
    # Not held against the fleet: the way out of a pin that does not serve it may be found here.
    pinned = project.read(root, arguments.versions).pins
    known = gather.facts(root)
    policy = Policy(datetime.now(UTC).date(), arguments.cool_down, arguments.major)
    asked = gather.questions(
        pinned, known, gather.Asking(os.environ, tuple(arguments.gvisor), arguments.within)
    )
    names = [each.component for each in asked]
    _check_commits(pinned, arguments.gvisor)
    if unknown := sorted(set(arguments.write or ()) - set(names)):
        raise UsageError(
            f"--write {' '.join(unknown)}: no such component; there are: {', '.join(names)}"
        )
    tell(f"asking the sources of {', '.join(names)}; at most {arguments.within:g} s")
    answers = gather.ask(pinned, asked, known, arguments.within)
    if not answers.found:
        raise FetchError(
            f"no source answers: {'; '.join(answers.unanswered.values())}; check the network,"
            " proxies, GOPROXY, PIP_INDEX_URL"
        )
    rows = [row for found in answers.found for row in proposals(pinned, found, known, policy)]
    current = [found.component for found in answers.found if not found.offers]
    table = show.table(rows, answers.unanswered, current, policy.today)
    try:
        chosen = [] if arguments.write is None else _chosen(rows, answers, arguments.write)
        _write(arguments.versions, chosen, root)
    except ImageBuildError as error:
        error.answer = (
            show.as_json(rows, answers.unanswered, current, ()) if arguments.json else table
        )
        raise
    written = [row.component for row in chosen]
    if arguments.json:
        return show.as_json(rows, answers.unanswered, current, written)
    if arguments.write is None:
        return f"{table}\n{show.step(rows, answers.unanswered)}"
    return f"{table}\n{_told(arguments.versions, chosen)}"


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py update",
        description=(
            "Propose newer pins for versions.yaml, from the registries and sites that the pins come"
            " from."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--write",
        nargs="*",
        metavar="COMPONENT",
        help="edit versions.yaml in place; default: all that is offered",
    )
    _add_bounds(parser)
    parser.add_argument(
        "--json", action="store_true", help="the proposals as JSON on standard output"
    )
    parser.add_argument(
        "--versions",
        type=lambda name: Path(name).absolute(),
        metavar="FILE",
        help="pins to use instead of versions.yaml",
    )
    parser.set_defaults(versions=root / "versions.yaml")
    return parser


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """What is offered, and how long it may take to find out."""
    parser.add_argument(
        "--cool-down",
        type=_days,
        default=7,
        metavar="DAYS",
        help="take nothing younger; default: 7",
    )
    parser.add_argument(
        "--major", action="store_true", help="also other release lines of Go and CUDA"
    )
    parser.add_argument(
        "--gvisor",
        type=_commit,
        action="append",
        default=[],
        metavar="VERSION",
        help="also ask for this commit of gVisor",
    )
    parser.add_argument(
        "--within",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long all sources have; default: 60",
    )


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)


def _commit(text: str) -> str:
    if not order.PSEUDO.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no pseudo-version, such as v0.0.0-20260518063529-209a0ce076a1"
        )
    return text


def _check_commits(pinned: pins.Pins, named: Sequence[str]) -> None:
    now = pinned.components[GVISOR].packages.version or ""
    if older := [version for version in named if order.numbers(version) <= order.numbers(now)]:
        raise UsageError(
            f"--gvisor {' '.join(older)}: not newer than {now}, which is pinned; name a later"
            " commit"
        )


def _chosen(
    rows: Sequence[Proposal], answers: gather.Answers, named: Sequence[str]
) -> list[Proposal]:
    """The proposals to write.

    Raises PolicyError for one that the fleet forbids, FetchError for one that nobody answered.
    """
    if missing := [
        f"{name}: {answers.unanswered[name]}" for name in named if name in answers.unanswered
    ]:
        raise FetchError(
            f"--write {'; '.join(missing)}; nothing was written; run again when the source answers,"
            " or name the others"
        )
    wanted = [row for row in rows if not named or row.component in named]
    offered = [row for row in wanted if row.verdict is Verdict.OFFERED]
    taken = {row.component for row in offered}
    if broken := [
        row for row in wanted if row.verdict is Verdict.REFUSED and row.component not in taken
    ]:
        told = "; ".join(f"{row.component} {row.version}: {row.reason}" for row in broken)
        more = (
            f", or write the others: ./build.py update --write {' '.join(sorted(taken))}"
            if taken
            else ""
        )
        raise PolicyError(
            f"{told}; nothing was written; keep the pin, or change the nodes and fleet.drivers"
            f" first{more}"
        )
    return offered


def _write(versions: Path, chosen: Sequence[Proposal], root: Path) -> None:
    """The file as it is now, edited and put in place at once."""
    changes = [change for row in chosen for change in row.changes]
    if not changes:
        return
    path = versions.resolve()
    before = gate.findings(*pins.load(path, str(versions)), root)
    data = edit.edited(path.read_bytes(), str(versions), changes)
    with whole(path) as part:
        part.write_bytes(data)
        part.chmod(path.stat().st_mode)
        after = gate.findings(*pins.load(part, str(versions)), root)
        # A fault that stood there before is no reason to keep the pin: this may be the way out of
        # it.
        if new := [found for found in after if found.key not in {each.key for each in before}]:
            raise DocumentError(
                [
                    replace(found, fix=f"nothing was written; {found.fix}, and run again")
                    for found in new
                ]
            )


def _told(versions: Path, chosen: Sequence[Proposal]) -> str:
    if not chosen:
        return "nothing to write: nothing is offered"
    rows = [
        f"wrote {row.component} {row.version}: {len(row.changes)} of its pins in {versions.name}"
        for row in chosen
    ]
    rows += [f"by hand: {BY_HAND[row.component]}" for row in chosen if row.component in BY_HAND]
    return "\n".join(
        [*rows, "next: make lock, make render, make slim; read what changed, then commit"]
    )
