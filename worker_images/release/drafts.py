"""Drafts of releases: images that were built and tested here, and the index that names them."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from worker_images.build import jobs, pipeline, record
from worker_images.build.plan import Plan, image_name
from worker_images.build.record import UNKNOWN, Record
from worker_images.build.requirements import ARCHITECTURES
from worker_images.errors import PolicyError
from worker_images.model.component import Architecture
from worker_images.model.oci.files import BLOBS, open_archive
from worker_images.model.oci.image import ImageError
from worker_images.model.project import Project
from worker_images.release import kept, layout
from worker_images.release.examine import REVISION, VARIANT, VERSION
from worker_images.release.layout import ANNOTATION, Candidate
from worker_images.release.request import Request
from worker_images.release.results import Subject

# The form of a remote such as git@host:team/worker.git.
SCP = r"(?:[^@/]+@)?(?P<host>[^:/]+):(?P<path>[^/].*)"

# How many uncommitted files an error names.
MAX_NAMES = 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """An image of a draft with the plan and the record of its build."""

    candidate: Candidate
    plan: Plan = field(repr=False)
    record: Record = field(repr=False)

    @property
    def subject(self) -> Subject:
        """What test results must be about."""
        own = self.candidate
        report = own.archive.with_name("image.xml")
        return Subject(own.variant, own.architecture, own.image_id, own.digest, report)


@dataclass(frozen=True)
class Draft:
    """A variant to release: the index, its digest and the images that it names."""

    variant: str
    tag: str
    index: bytes = field(repr=False)
    parts: tuple[Part, ...]
    annotations: dict[str, str] = field(repr=False)

    @property
    def digest(self) -> str:
        """The index's digest, which the tags name."""
        return layout.digest_of(self.index)

    @property
    def size(self) -> int:
        """The bytes of the compressed layers of all images."""
        return sum(part.record.compressed_size for part in self.parts)


def build(
    request: Request, project: Project, held: contextlib.ExitStack, progress: Progress
) -> tuple[Draft, ...]:
    """Build and test what changed and return the drafts, whose archives `held` keeps locked.

    Raises PolicyError for an unrecorded change of the checkout, and the errors of a build.
    """
    revision = revision_of(project)
    if fault := "" if request.allow_dirty else _unrecorded(project):
        raise PolicyError(
            f"a release must name the commit that it was built from, and {fault}, or use"
            " --allow-dirty to try it out"
        )
    parts = [
        part
        for architecture in ARCHITECTURES
        for part in _built(request, architecture, project, held, progress)
    ]
    source = source_of(project.root)
    return tuple(
        _draft(
            request,
            variant,
            [part for part in parts if part.candidate.variant == variant],
            {REVISION: revision, **({f"{ANNOTATION}source": source} if source else {})},
        )
        for variant in request.variants
    )


def revision_of(project: Project) -> str:
    """The revision of a project, or of the checkout if it stands alone."""
    return record.revision(project.root, in_subfolder=not project.stands_alone)


def _unrecorded(project: Project) -> str:
    """Why revisions do not record the project and its checkout; empty if they do."""
    checkout = _fault(project.checkout, record.revision(project.checkout))
    return checkout or _fault(project.root, revision_of(project))


def _fault(root: Path, revision: str) -> str:
    if revision == UNKNOWN:
        return f"{root} is not a git clone; release from a clone"
    if not revision.endswith("-dirty"):
        return ""
    names = record.uncommitted(root)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return (
        f"these files are not committed: {', '.join(names[:MAX_NAMES])}{more}; commit them, or move"
        " away what is not a part of the checkout"
    )


def _built(
    request: Request,
    architecture: Architecture,
    project: Project,
    held: contextlib.ExitStack,
    progress: Progress,
) -> list[Part]:
    """Build the variants that are released for an architecture, or find them."""
    variants = project.catalog.variants
    wanted = [
        jobs.Request(name, architecture=architecture, compression=request.compression)
        for name in request.variants
        if architecture in (request.architectures or variants[name].platforms)
    ]
    if not wanted:
        return []
    planned = jobs.plan_all(wanted, project)
    work = f"releasing {request.version} to {request.target}"
    if request.build:
        outcomes = held.enter_context(pipeline.finished(wanted, project, progress, work))
        found = {each.record.variant: each.record for each in outcomes}
    else:
        for name in sorted(image_name(each.variant, each.architecture) for each in wanted):
            held.enter_context(record.exclusive(project.root / "out" / name, progress, work))
        found = {each.variant: each for each in kept.records(wanted, project)}
    return [
        Part(candidate(each, found[each.variant], project.root), each, found[each.variant])
        for each in planned.plans
    ]


def candidate(planned: Plan, built: Record, root: Path) -> Candidate:
    """The archive of a build; raises PolicyError if it is not readable, or another one."""
    archive = root / "out" / planned.name / "image.tar"
    try:
        with open_archive(archive) as files:
            size = files.size(BLOBS + built.manifest_digest.removeprefix("sha256:"))
    except (ImageError, OSError) as error:
        raise PolicyError(
            f"{archive}: {error}; the archive changed after its tests; remove it and run again"
        ) from error
    return Candidate(
        planned.variant,
        planned.architecture,
        archive,
        built.manifest_digest,
        size,
        built.image_id,
    )


def _draft(request: Request, variant: str, parts: Sequence[Part], common: dict[str, str]) -> Draft:
    created = max(part.plan.created for part in parts)
    annotations = {
        **common,
        f"{ANNOTATION}created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        f"{ANNOTATION}title": f"worker {variant}",
        VARIANT: variant,
        VERSION: request.version,
    }
    index = layout.index_of([part.candidate for part in parts], annotations)
    return Draft(variant, request.tag_of(variant), index, tuple(parts), annotations)


def source_of(root: Path) -> str:
    """The address of the checkout's origin, without credentials; empty if it is not on a host."""
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    address = done.stdout.strip()
    if found := re.fullmatch(SCP, address):
        return f"https://{found['host']}/{found['path'].removesuffix('.git')}"
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https", "ssh"} or not parts.hostname:
        return ""
    host = parts.hostname if parts.scheme == "ssh" else parts.netloc.rpartition("@")[2]
    return f"https://{host}{parts.path.removesuffix('.git')}"
