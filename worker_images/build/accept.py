"""`make accept`: write generated files, ledger and documents after the images pass."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from worker_images.build import documents, generated, pipeline, requirements, resolve
from worker_images.build.tars import Progress
from worker_images.build.work import Request
from worker_images.errors import EngineError
from worker_images.files import write_atomic
from worker_images.model import lock_check
from worker_images.model.component import Architecture
from worker_images.model.ledger import INPUTS, LEDGER, Entry, Ledger
from worker_images.model.lock import Lock, differences, lock_of
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.outline import outline
from worker_images.model.project import Project

# Lines shown of one file's difference.
MAX_LINES = 40


def accept(
    project: Project, variants: Sequence[str], architecture: Architecture, progress: Progress
) -> tuple[str, ...]:
    """Resolve what the lock lacks, render, build and test; then write ledger and documents.

    Returns the lines of the differences. An error of resolving, building or testing is raised
    before the ledger is written.
    """
    lines = [f"{name}: changed" for name in _lock(project, progress)]
    lines += _write(project, generated.files(project))
    requests = [Request(name, architecture=architecture, retest=True) for name in variants]
    for outcome in pipeline.run(requests, project, progress):
        lines += _review(project, outcome.record.variant, architecture)
    lines += _write(project, dict(documents.files(project)))
    return tuple(lines)


def _lock(project: Project, progress: Progress) -> tuple[str, ...]:
    path = lock_of(project.versions)
    locked = Lock.read(path)
    if list(lock_check.faults(locked)):
        requirements.load(project)
    if not list(differences(locked, requirements.request(project), path.name)):
        return ()
    return resolve.write(project, progress, kept=locked)


def _write(project: Project, files: dict[Path, str]) -> list[str]:
    """Write each file that differs and return the lines of the differences."""
    lines = []
    for path, text in files.items():
        before = path.read_text() if path.is_file() else ""
        if before == text:
            continue
        write_atomic(path, text)
        name = str(path.relative_to(project.root))
        difference = difflib.unified_diff(
            before.splitlines(), text.splitlines(), f"{name} before", name, lineterm="", n=0
        )
        changes = list(difference)
        lines += changes[:MAX_LINES]
        if len(changes) > MAX_LINES:
            lines.append(f"... and {len(changes) - MAX_LINES} more lines of {name}")
    return lines


def _review(project: Project, variant: str, architecture: Architecture) -> list[str]:
    """Write the ledger entries of an image that passed and return the changes."""
    name = variant if architecture == "amd64" else f"{variant}-{architecture}"
    out = project.root / "out" / name
    inputs: dict[str, str] = json.loads((out / INPUTS).read_text())
    try:
        layers = outline(out / "image.tar").layers
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error
    ledger, lines = Ledger.read(project.root), []
    for (part, digest), (diff_id, size) in zip(inputs.items(), layers, strict=True):
        if ledger.entry(part, architecture, digest):
            continue
        before = ledger.latest(part, architecture)
        entry = Entry(size, diff_id)
        ledger = ledger.with_entry(part, architecture, digest, entry)
        lines.append(f"{LEDGER}: {part} {architecture}: {_change(before, entry)}")
    if lines:
        ledger.write(project.root)
    return lines


def _change(before: Entry | None, after: Entry) -> str:
    if before is None:
        return f"new, {after.bytes / 1e6:.1f} MB"
    if before.diff_id == after.diff_id:
        return "same bytes, different inputs"
    return f"{before.bytes / 1e6:.1f} MB -> {after.bytes / 1e6:.1f} MB"
