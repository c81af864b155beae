"""Sign a draft: the statements about it, and the bundles that a registry lacks."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images import files
from worker_images.model.lock import Lock
from worker_images.model.oci import archive
from worker_images.model.project import Project
from worker_images.release import examine, provenance, sbom, tested
from worker_images.release.cosign import Signer, Statement
from worker_images.release.drafts import Draft
from worker_images.release.layout import ANNOTATION, INDEX, Layout, Object, descriptor
from worker_images.release.statements import NAMES, PROVENANCE, SBOM, SIGNATURE, TESTS
from worker_images.release.tested import Tested
from worker_images.untrusted import parse_json

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Evidence:
    """What the statements about a draft are made from. `given` is set for results of --results."""

    project: Project
    locked: Lock
    builder_id: str
    tested: tuple[Tested, ...]
    given: bool

    def results(self) -> list[Statement]:
        """The statements about tests."""
        return [Statement(TESTS, tested.predicate(each)) for each in self.tested]

    def added(self, present: Sequence[Statement]) -> bool:
        """Whether there are results that are not yet published."""
        return self.given and any(each not in present for each in self.results())


def statements(draft: Draft, evidence: Evidence) -> Iterator[Statement]:
    """Yield every statement that is published about a draft."""
    yield Statement(SIGNATURE, {})
    made = provenance.predicate(
        [part.plan for part in draft.parts],
        evidence.project,
        revision=draft.annotations[examine.REVISION],
        repository=draft.annotations.get(f"{ANNOTATION}source", ""),
        builder=evidence.builder_id or provenance.LOCAL_BUILDER,
        invocation=draft.digest,
    )
    yield Statement(PROVENANCE, made)
    for part in draft.parts:
        with tempfile.TemporaryDirectory(dir=files.scratch(), prefix="part-") as scratch:
            own = part.candidate
            image = archive.load(own.archive, Path(scratch), own.architecture, strict=True)
            text = sbom.document(image, part.plan, evidence.project, evidence.locked)
        yield Statement(SBOM, parse_json(text.encode()))
    yield from evidence.results()


def lacking(
    wanted: Sequence[Statement], present: Sequence[Statement], *, given: bool
) -> list[Statement]:
    """The statements that are not yet published: one of each type about each manifest.

    With `given`, also test results that differ from the published ones.
    """
    known = {(each.kind, examine.subject_of(each)) for each in present}
    return [
        each
        for each in wanted
        if (each.kind, examine.subject_of(each)) not in known
        or (given and each.kind == TESTS and each not in present)
    ]


def attach(
    local: Layout, draft: Draft, wanted: Sequence[Statement], signer: Signer, progress: Progress
) -> Layout:
    """Sign statements, and add their bundles to the layout; raises PolicyError."""
    subject = descriptor(INDEX, draft.digest, len(draft.index))
    created = draft.annotations[f"{ANNOTATION}created"]
    entries = list[Object]()
    for each in wanted:
        progress(f"signing {draft.tag}: {NAMES[each.kind]}")
        bundle = signer.sign(draft.digest, each.kind, each.predicate, draft.tag)
        entries.append(local.attach(subject, bundle, each.kind, created))
    return local.with_entries(*entries)
