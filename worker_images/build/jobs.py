"""Build requests and build jobs, with the checks of a request before any work starts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker_images.build import (
    image_names,
    layer_inputs,
    machine,
    plan,
    provision,
    render,
    requirements,
    uptodate,
)
from worker_images.build.inputs import BUILDER
from worker_images.build.record import UNKNOWN, revision
from worker_images.build.tars import Progress
from worker_images.engine.builder import Engine, check_platform, check_push
from worker_images.engine.endpoint import Endpoint, check_space
from worker_images.engine.images import Images
from worker_images.errors import UsageError
from worker_images.fetch.store import Store
from worker_images.files import CACHE, check_cache
from worker_images.model import pins
from worker_images.model.component import Architecture, UpstreamFile
from worker_images.model.ledger import LEDGER, Ledger
from worker_images.model.lock import Lock
from worker_images.model.oci.inflate import Compression
from worker_images.model.project import Project

NEEDED_BYTES = 4 * 10**9


@dataclass(frozen=True)
class Request:
    """The options of one image on the command line."""

    variant: str
    source: pins.Source | None = None
    builder: str | None = None
    tag: str | None = None
    architecture: Architecture = BUILDER
    compression: Compression = "gzip"
    offline: Path | None = None
    no_cache: bool = False
    test: bool = True
    push: bool = False
    cache_from: str | None = None
    cache_to: str | None = None
    retest: bool = False


@dataclass(frozen=True)
class Planned:
    """Plans of checked requests, with their Dockerfiles, the lock and the store of files."""

    plans: tuple[plan.Plan, ...]
    dockerfiles: tuple[str, ...]
    locked: Lock
    store: Store


@dataclass(frozen=True)
class BuildJob:
    """A request with everything that the build stages share."""

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
        """Root folder of the checkout."""
        return self.project.root

    @property
    def images(self) -> Images:
        """Images of the engine."""
        return self.engine.endpoint.images

    @property
    def depends_on_files_only(self) -> bool:
        """True if only the checkout's files, and no option, decide the result."""
        plain = replace(self.request, retest=False) == Request(self.request.variant)
        return plain and self.project.versions == self.root / "versions.yaml"

    @property
    def endpoint(self) -> Endpoint:
        """Address and clients of the engine."""
        return self.engine.endpoint


def folders(out: Path) -> dict[str, Path]:
    """Return the folders that a build fills, by content; each needs NEEDED_BYTES."""
    return {"images": out, "the engine": CACHE}


def prepare(requests: Sequence[Request], project: Project, progress: Progress) -> list[BuildJob]:
    """Plan and check requests, and find or start an engine.

    Raises UsageError, EngineError or FetchError.
    """
    root, first = project.root, requests[0]
    # Computed before files are read, so that the next build sees later edits as changes.
    source_digest = uptodate.sources(root)
    planned = plan_all(requests, project)
    check_space(folders(root / "out"), NEEDED_BYTES)
    if (commit := revision(root, in_subfolder=not project.stands_alone)) == UNKNOWN:
        progress("revision unknown: git is missing, or this is not a clone; recorded as unknown")
    engine = provision.ensure_engine(
        project, planned.locked, planned.store, first.builder, progress
    )
    if first.push:
        check_push(engine, first.variant)
    for image_plan in planned.plans:
        if image_plan.source == "upstream":
            check_platform(engine, image_plan.architecture)
    return [
        BuildJob(
            request=request,
            project=project,
            plan=image_plan,
            dockerfile=text,
            out=root / "out" / image_plan.name,
            engine=engine,
            store=planned.store,
            progress=progress,
            source_digest=source_digest,
            revision=commit,
        )
        for request, image_plan, text in zip(
            requests, planned.plans, planned.dockerfiles, strict=True
        )
    ]


def plan_all(requests: Sequence[Request], project: Project) -> Planned:
    """Plan requests and render their Dockerfiles; raises UsageError or DriftError."""
    check_cache()
    locked = requirements.load(project)
    plans = tuple(
        plan.make(project, locked, each.variant, each.source, each.architecture)
        for each in requests
    )
    for request, planned in zip(requests, plans, strict=True):
        _check(request, planned)
        if request.cache_from:
            _check_reviewed(planned, project.root)
    texts = tuple(render.dockerfile(planned, project.root) for planned in plans)
    store = Store(source=requests[0].offline, mirrors=project.pins.mirrors)
    return Planned(plans, texts, locked, store)


def _check(request: Request, planned: plan.Plan) -> None:
    """Check that a request can be built; raises UsageError or EngineError."""
    if request.tag and not image_names.is_name(request.tag):
        raise UsageError(
            f"--tag {request.tag!r}: not an image name; use a name such as team/worker:1.2"
        )
    if request.push and not (request.test and request.tag and "/" in request.tag):
        raise UsageError(
            "--push: only a tested image with a registry in its tag can be pushed; add --tag"
            " REGISTRY/NAME:TAG, without --no-test"
        )
    _check_caches(request)
    machine.check(machine.Machine.here(), planned.source, request.variant)
    if planned.missing:
        raise UsageError(
            f"variant {planned.variant} cannot be built: images/components/ has no folder for"
            f" {', '.join(planned.missing)}"
        )
    if request.offline and planned.source == "upstream":
        raise UsageError(
            "--offline works only with --source packages; upstream's images and apt packages come"
            " from a network: name mirrors in versions.yaml, or replace the downloads stage: docker"
            " buildx build --build-context downloads=FOLDER"
        )
    _check_architecture(planned)


def _check_caches(request: Request) -> None:
    """Check the names of build caches; raises UsageError."""
    for option, name in (("--cache-from", request.cache_from), ("--cache-to", request.cache_to)):
        if name is None:
            continue
        if not image_names.is_repository(name):
            raise UsageError(
                f"{option} {name!r}: not a repository of a registry; use a name without a tag, such"
                " as registry.example/team/cache; each image has its own tag there"
            )
        if not request.test:
            raise UsageError(f"{option}: the tests check what a cache holds; remove --no-test")
        if request.offline:
            raise UsageError(f"{option}: a cache is in a registry, and --offline uses no network")


def _check_reviewed(planned: plan.Plan, root: Path) -> None:
    """Check that the ledger has every layer, so that a cache cannot change one; raises UsageError.

    A cached result is trusted by its inputs. Only a reviewed digest shows whether it is right.
    """
    if planned.source == "upstream":
        raise UsageError("--cache-from works only with --source packages: upstream has no ledger")
    ledger = Ledger.read(root)
    missing = [
        name
        for name, inputs in layer_inputs.input_digests(planned, root).items()
        if not ledger.entry(name, planned.architecture, inputs)
    ]
    if missing:
        raise UsageError(
            f"--cache-from: {LEDGER} has no entry for {', '.join(missing)} on"
            f" {planned.architecture}, so bytes from a cache could not be checked; build without"
            " it, or run make accept first"
        )


def _check_architecture(planned: plan.Plan) -> None:
    """Check that every component exists for the architecture; raises UsageError."""
    unpinned = [
        f"components.{each.name}.upstream.{planned.architecture}"
        for each in planned.components
        if isinstance(each.origin, UpstreamFile) and not each.file
    ]
    if unpinned:
        raise UsageError(
            f"--arch {planned.architecture}: versions.yaml has no digest of the published file; add"
            f" {', '.join(unpinned)}"
        )
    unavailable = [
        each.name
        for each in planned.components
        if planned.architecture not in each.origin.architectures
    ]
    if unavailable:
        raise UsageError(
            f"--arch {planned.architecture}: {planned.variant} contains {', '.join(unavailable)},"
            f" not built for {planned.architecture}; choose another variant"
        )
