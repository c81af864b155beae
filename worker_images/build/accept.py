"""`make accept`: write generated files, ledger, deploy/ and documents after the images pass."""

import contextlib
import difflib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from worker_images.build import deploy, documents, generated, pipeline, requirements, resolve
from worker_images.build.inputs import BASE, BUILDER
from worker_images.build.jobs import Request
from worker_images.build.plan import image_name
from worker_images.build.tars import Progress
from worker_images.errors import EngineError, FailedTestsError
from worker_images.files import write_atomic
from worker_images.model import lock_check, lock_differences, results
from worker_images.model.component import Architecture
from worker_images.model.ledger import LEDGER, LEDGER_TESTS, Entry, Ledger, inputs_file
from worker_images.model.lock import Lock, lock_of
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.outline import outline
from worker_images.model.project import Project
from worker_images.model.tree import VERSIONS

# Lines shown of one file's difference.
MAX_LINES = 40


def accept(
    project: Project, variants: Sequence[str], architecture: Architecture, progress: Progress
) -> tuple[str, ...]:
    """Complete the lock, build and test, then write the entries of the ledger.

    Returns the lines of the differences. If resolving, building or testing fails, or if a check did
    not run, no file is changed.
    """
    resolved = _resolve(project, progress)
    with _restored_on_failure(resolved):
        lines = _write(project, resolved)
        requests = [
            Request(name, source="packages", architecture=architecture, retest=True)
            for name in variants
        ]
        records = [outcome.record for outcome in pipeline.run(requests, project, progress)]
        names = [record.variant for record in records]
        notes = [note for name in names for note in _not_run(project, name, architecture)]
        ledger, changes = _reviewed(project, names, architecture)
        # deploy/ has one digest: that of the image for the cluster of `make cluster`.
        deployed = architecture == BUILDER and project.stands_alone
        digests = deploy.digests(project.root, records) if deployed else {}
    lines += _write(project, {**generated.files(project), **digests})
    if changes:
        ledger.write(project.root)
    pages = documents.files(project) if project.stands_alone else {}
    return (*lines, *changes, *notes, *_write(project, pages))


def _resolve(project: Project, progress: Progress) -> Mapping[Path, str]:
    """Return the files of the lock that change, with their texts."""
    locked = _locked(project)
    if list(lock_check.faults(locked)):
        requirements.load(project)
    if not list(lock_differences.from_request(locked, requirements.request(project), "")):
        path = lock_of(project.versions)
        return {} if path.is_file() else {path: locked.as_text()}
    return resolve.resolved(project, locked, progress)


def _locked(project: Project) -> Lock:
    """Return the lock; a project without one begins with what its checkout locks."""
    path, below = lock_of(project.versions), lock_of(project.checkout / VERSIONS)
    return Lock.read(path if path.is_file() else below)


@contextlib.contextmanager
def _restored_on_failure(files: Iterable[Path]) -> Iterator[None]:
    """Give the files their texts again if the block fails."""
    before = {path: path.read_text() if path.is_file() else None for path in files}
    try:
        yield
    except BaseException:
        for path, text in before.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, text)
        raise


def _write(project: Project, files: Mapping[Path, str]) -> list[str]:
    """Write each file that differs and return the lines of the differences."""
    lines = []
    for path, text in files.items():
        before = path.read_text() if path.is_file() else ""
        if before == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
        name = project.tree.name(path)
        difference = difflib.unified_diff(
            before.splitlines(), text.splitlines(), f"{name} before", name, lineterm="", n=0
        )
        changes = list(difference)
        lines += changes[:MAX_LINES]
        if len(changes) > MAX_LINES:
            lines.append(f"... and {len(changes) - MAX_LINES} more lines of {name}")
    return lines


def _not_run(project: Project, variant: str, architecture: Architecture) -> Iterator[str]:
    """Yield a line for each reason why checks of an image for another architecture did not run.

    Raises EngineError if a check of an image for this architecture did not run, except the check
    that needs the entries of the ledger.
    """
    folder = project.root / "out" / image_name(variant, architecture)
    reasons = Counter(
        check.result.reason
        for check in results.read(folder / "image.xml").with_outcome(results.NOT_RUN)
        if check.file != LEDGER_TESTS
    )
    for reason, count in sorted(reasons.items()):
        if architecture == BUILDER:
            raise EngineError(
                f"{variant}: not run: {reason} ({count}); accept needs the results of all checks"
                " and changed no file; run it on a machine that can run them"
            )
        yield (
            f"{LEDGER}: {folder.name}: only the files of the image were read; not run: {reason}"
            f" ({count})"
        )


def _reviewed(
    project: Project, variants: Sequence[str], architecture: Architecture
) -> tuple[Ledger, list[str]]:
    """Return the ledger with the layers of images that passed, and the changes.

    Entries of components that no longer exist are removed, for all architectures.
    Raises FailedTestsError if equal inputs gave different bytes.
    """
    ledger = Ledger.read(project.root)
    gone = sorted(ledger.rows.keys() - {BASE, *project.catalog.components})
    changes = [f"{LEDGER}: {name}: removed, images/components/{name} is gone" for name in gone]
    ledger = ledger.without(gone)
    for variant in variants:
        for part, digest, entry in _layers(project, variant, architecture):
            known = ledger.entry(part, architecture, digest)
            if known and known != entry:
                raise FailedTestsError(
                    f"{part} {architecture}: equal inputs gave {known.diff_id} and"
                    f" {entry.diff_id}; the build of {part} is not reproducible"
                )
            if known:
                continue
            before = ledger.latest(part, architecture)
            ledger = ledger.with_entry(part, architecture, digest, entry)
            changes.append(f"{LEDGER}: {part} {architecture}: {_change(before, entry)}")
    return ledger, changes


def _layers(
    project: Project, variant: str, architecture: Architecture
) -> Iterator[tuple[str, str, Entry]]:
    """Return the name, the digest of the inputs, and the size and diffID of each layer."""
    archive = project.root / "out" / image_name(variant, architecture) / "image.tar"
    inputs: dict[str, str] = json.loads(inputs_file(archive).read_text())
    try:
        layers = outline(archive).layers
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error
    for (part, digest), (diff_id, size) in zip(inputs.items(), layers, strict=True):
        yield part, digest, Entry(size, diff_id)


def _change(before: Entry | None, after: Entry) -> str:
    if before is None:
        return f"new, {after.bytes / 1e6:.1f} MB"
    if before.diff_id == after.diff_id:
        return "same bytes, different inputs"
    return f"{before.bytes / 1e6:.1f} MB -> {after.bytes / 1e6:.1f} MB"
