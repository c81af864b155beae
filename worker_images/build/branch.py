"""What a checkout changes of the images of a git revision: Dockerfiles and sizes.

Both are committed, and tests hold them to what is built, so that the other revision needs no build.
"""

import difflib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.build.generated import SOURCES
from worker_images.build.inputs import BASE
from worker_images.build.requirements import ARCHITECTURES
from worker_images.errors import UsageError
from worker_images.model.ledger import LEDGER, Ledger
from worker_images.model.project import Project
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, parse_json


@dataclass(frozen=True)
class Size:
    """The unpacked bytes of a component's layer before and now; None where there is none."""

    component: str
    architecture: str
    before: int | None
    now: int | None


@dataclass(frozen=True)
class Changes:
    """The differences of Dockerfiles, and the sizes of all layers by variant."""

    base: str
    dockerfiles: tuple[str, ...]
    sizes: Mapping[str, tuple[Size, ...]]


def compare(project: Project, base: str) -> Changes:
    """Compare the checkout with a git revision; raises UsageError if there is no such revision."""
    if _git(project.root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") is None:
        raise UsageError(
            f"--base {base!r}: no such revision of this clone; fetch it first, such as: git fetch"
            " origin main"
        )
    before, now = _ledger(project.root, base), Ledger.read(project.root)
    sizes = {
        name: tuple(_sizes((BASE, *project.catalog.variants[name].components), before, now))
        for name in project.catalog.buildable
    }
    return Changes(base, tuple(_dockerfiles(project, base)), sizes)


def _dockerfiles(project: Project, base: str) -> Iterator[str]:
    for variant in project.catalog.buildable:
        for file in SOURCES:
            name = f"images/{variant}/{file}"
            before = _git(project.root, "show", f"{base}:./{name}") or ""
            yield from difflib.unified_diff(
                before.splitlines(),
                (project.root / name).read_text().splitlines(),
                f"{base}:{name}",
                name,
                lineterm="",
            )


def _ledger(root: Path, base: str) -> Ledger:
    """The ledger of a revision; empty if it has none that this version can read."""
    try:
        rows = parse_json((_git(root, "show", f"{base}:./{LEDGER}") or "{}").encode())
        return typed(Ledger, {"rows": rows}, LEDGER)
    except UntrustedError:
        return Ledger({})


def _sizes(names: Sequence[str], before: Ledger, now: Ledger) -> Iterator[Size]:
    for architecture in ARCHITECTURES:
        for name in names:
            old, new = before.latest(name, architecture), now.latest(name, architecture)
            if old or new:
                yield Size(
                    name, architecture, old.bytes if old else None, new.bytes if new else None
                )


def _git(root: Path, *arguments: str) -> str | None:
    """The output of git; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed; run: apt-get install git") from error
    return None if done.returncode else done.stdout
