"""The record of a release, from what was published."""

from collections.abc import Sequence

from worker_images.model.lock import Lock
from worker_images.model.oci.outline import outline
from worker_images.model.project import Project
from worker_images.release import debian, examine, record
from worker_images.release.drafts import Draft, Part
from worker_images.release.layout import ANNOTATION
from worker_images.release.record import Component, Platform, Released
from worker_images.release.tested import Tested


def released(
    name: str,
    drafts: Sequence[Draft],
    tested: Sequence[Tested],
    project: Project,
    locked: Lock,
    signer: str,
) -> Released:
    """Return the record of drafts that were published, with their test results."""
    results = {each.manifest_digest: each for each in tested}
    annotations = drafts[0].annotations
    return Released(
        name=name,
        version=annotations[examine.VERSION],
        revision=annotations[examine.REVISION],
        created=max(draft.annotations[f"{ANNOTATION}created"] for draft in drafts),
        indexes={draft.variant: draft.digest for draft in drafts},
        platforms=tuple(
            _platform(part, results[part.candidate.digest], project, locked)
            for draft in drafts
            for part in draft.parts
        ),
        signer=signer,
    )


def _platform(part: Part, results: Tested, project: Project, locked: Lock) -> Platform:
    plan, built = part.plan, part.record
    sizes = record.sizes(outline(part.candidate.archive), [each.name for each in plan.components])
    licences = {name: each.licence for name, each in project.catalog.components.items()}
    versions = {each.name: each.reported_version for each in plan.components}
    names = [package.name for root in debian.installed_roots(plan) for package in root.packages]
    return Platform(
        variant=plan.variant,
        architecture=plan.architecture,
        image_id=built.image_id,
        manifest_digest=built.manifest_digest,
        compressed=built.compressed_size,
        components=tuple(
            Component(
                name,
                versions.get(name, plan.debian.suite),
                licences.get(name, "each package has its own"),
                size,
            )
            for name, size in sizes.items()
        ),
        drivers=plan.drivers,
        packages=record.packages(locked, plan.architecture, names),
        tests=record.layers(results),
        lacks=plan.lacks,
    )


def joined(new: Released, old: Released | None) -> Released:
    """Add the variants of an earlier run for the same version to a record."""
    if old is None or (old.name, old.revision) != (new.name, new.revision):
        return new
    kept = [each for each in old.platforms if each.variant not in new.indexes]
    return Released(
        new.name,
        new.version,
        new.revision,
        max(new.created, old.created),
        {**old.indexes, **new.indexes},
        (*new.platforms, *kept),
        new.signer,
    )
