"""What a command asks for, and all that its stages share.

Everything that can be refused is refused here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.build import machine, plan, provision, render, requirements, uptodate
from worker_images.build.inputs import BUILDER
from worker_images.build.record import UNKNOWN, revision
from worker_images.build.tars import Progress
from worker_images.engine.builder import Engine, check_push
from worker_images.engine.endpoint import Endpoint, check_space
from worker_images.engine.images import Images
from worker_images.errors import UsageError
from worker_images.fetch.store import Store
from worker_images.files import CACHE, check_cache
from worker_images.model import pins
from worker_images.model.component import Architecture
from worker_images.model.lock import Lock
from worker_images.model.project import Project

NEEDED_BYTES = 4 * 10**9
# A registry's host and port, the path's parts, and the tag
# (https://pkg.go.dev/github.com/distribution/reference).
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
HOST = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?|[A-Za-z0-9-]+:[0-9]+|localhost)"
TAG = re.compile(rf"(?:{HOST}/)?{PART}(?:/{PART})*(?::[0-9A-Za-z_][0-9A-Za-z._-]{{0,127}})?")
LONGEST_NAME = 255
IMAGE_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    variant: str
    source: pins.Source | None = None
    builder: str | None = None
    tag: str | None = None
    architecture: Architecture = BUILDER
    offline: Path | None = None
    no_cache: bool = False
    test: bool = True
    push: bool = False
    retest: bool = False


@dataclass(frozen=True)
class Planned:
    """Plans of requests that can be built, with their Dockerfiles and the store of their files."""

    plans: tuple[plan.Plan, ...]
    dockerfiles: tuple[str, ...]
    locked: Lock
    store: Store


@dataclass(frozen=True)
class BuildJob:
    """A request with everything that its stages share."""

    request: Request
    project: Project
    plan: plan.Plan
    dockerfile: str
    out: Path
    engine: Engine
    store: Store
    progress: Progress
    source_digest: str
    revision: str = UNKNOWN

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.project.root

    @property
    def images(self) -> Images:
        """The images of the engine that does the work."""
        return self.engine.endpoint.images

    @property
    def answers_from_files(self) -> bool:
        """Whether the answer to the request depends on the checkout's files alone."""
        plain = replace(self.request, retest=False) == Request(self.request.variant)
        return plain and self.project.versions == self.root / "versions.yaml"

    @property
    def endpoint(self) -> Endpoint:
        """The engine's address and clients."""
        return self.engine.endpoint


def folders(out: Path) -> dict[str, Path]:
    """The folders that a build fills, by what fills them; each needs NEEDED_BYTES."""
    return {"images": out, "the engine": CACHE}


def prepare(requests: Sequence[Request], project: Project, progress: Progress) -> list[BuildJob]:
    """Plan, refuse what cannot be built, and have an engine.

    Raises UsageError, EngineError or FetchError.
    """
    root, first = project.root, requests[0]
    # Before anything is read: the next build sees later edits as changes.
    source_digest = uptodate.sources(root)
    planned = plan_all(requests, project)
    check_space(folders(root / "out"), NEEDED_BYTES)
    if (known_as := revision(root)) == UNKNOWN:
        progress("revision unknown: git is missing, or this is not a clone; the record says so")
    engine = provision.ensure_engine(
        project, planned.locked, planned.store, first.builder, progress
    )
    if first.push:
        check_push(engine, first.variant)
    return [
        BuildJob(
            request=request,
            project=project,
            plan=made,
            dockerfile=text,
            out=root / "out" / made.name,
            engine=engine,
            store=planned.store,
            progress=progress,
            source_digest=source_digest,
            revision=known_as,
        )
        for request, made, text in zip(requests, planned.plans, planned.dockerfiles, strict=True)
    ]


def plan_all(requests: Sequence[Request], project: Project) -> Planned:
    """Plan requests and render their Dockerfiles; raises UsageError or DriftError."""
    check_cache()
    locked = requirements.load(project)
    plans = tuple(
        plan.make(project, locked, each.variant, each.source, each.architecture)
        for each in requests
    )
    for request, made in zip(requests, plans, strict=True):
        _check(request, made)
    texts = tuple(render.dockerfile(made, project.root) for made in plans)
    return Planned(plans, texts, locked, Store(source=requests[0].offline))


def _is_name(tag: str) -> bool:
    """Whether an engine takes it for an image's name: longer ones are refused, an id's digits are
    an id.
    """
    return len(tag) <= LONGEST_NAME and bool(TAG.fullmatch(tag)) and not IMAGE_ID.fullmatch(tag)


def _check(request: Request, planned: plan.Plan) -> None:
    """Refuse a request that cannot be done; raises UsageError or EngineError."""
    if request.tag and not _is_name(request.tag):
        raise UsageError(f"--tag {request.tag!r}: not an image name; write it as team/worker:1.2")
    if request.push and not (request.test and request.tag and "/" in request.tag):
        raise UsageError(
            "--push: only a tested image with a name of its own is pushed; add --tag"
            " REGISTRY/NAME:TAG"
        )
    machine.check(machine.Machine.here(), planned.source, request.variant)
    if planned.missing:
        raise UsageError(
            f"variant {planned.variant} cannot be built yet: images/components/ has no folder for"
            f" {', '.join(planned.missing)}"
        )
    if request.offline and planned.source == "upstream":
        raise UsageError(
            "--offline works with --source packages; with upstream, replace the downloads stage:"
            " docker buildx --build-context"
        )
    _check_architecture(planned)


def _check_architecture(planned: plan.Plan) -> None:
    """Refuse what cannot be compiled for the architecture; raises UsageError."""
    if planned.cross and planned.source == "upstream":
        raise UsageError(f"--arch {planned.architecture} works with --source packages only")
    unfit = [
        each.name
        for each in planned.components
        if planned.architecture not in each.origin.architectures
    ]
    if unfit:
        raise UsageError(
            f"--arch {planned.architecture}: {planned.variant} holds {', '.join(unfit)}, which is"
            " built for amd64 only; build slim"
        )
