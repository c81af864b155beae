"""What a command asks for, and all that its stages share.

Everything that can be refused is refused here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import machine, plan, provision, render, requirements, uptodate
from worker_images.build.record import UNKNOWN, revision
from worker_images.build.tars import Tell
from worker_images.engine.builder import Engine, check_push
from worker_images.engine.endpoint import Endpoint, check_space
from worker_images.engine.images import Images
from worker_images.errors import UsageError
from worker_images.fetch import reach
from worker_images.fetch.store import Inputs, Store
from worker_images.files import CACHE, check_cache
from worker_images.model import pins, project

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
    versions: Path
    supply: pins.Supply | None = None
    builder: str | None = None
    tag: str | None = None
    architecture: plan.Architecture = plan.BUILDER
    offline: Path | None = None
    no_cache: bool = False
    judge: bool = True
    push: bool = False
    again: bool = False


@dataclass(frozen=True)
class Work:
    """A request with everything that its stages share."""

    request: Request
    plan: plan.Plan
    dockerfile: str
    root: Path
    out: Path
    engine: Engine
    inputs: Inputs
    tell: Tell
    seen: str
    revision: str = UNKNOWN

    @property
    def images(self) -> Images:
        """The images of the engine that does the work."""
        return self.engine.endpoint.images

    @property
    def endpoint(self) -> Endpoint:
        """The engine's address and clients."""
        return self.engine.endpoint


def folders(out: Path) -> dict[str, Path]:
    """The folders that a build fills, by what fills them; each needs NEEDED_BYTES."""
    return {"images": out, "the engine": CACHE}


def prepare(requests: Sequence[Request], root: Path, tell: Tell) -> list[Work]:
    """Plan, refuse what cannot be, and have an engine.

    Raises UsageError, EngineError or FetchError.
    """
    # Before anything is read: what is edited from here on is seen as a change by the next build.
    seen = uptodate.sources(root)
    first = requests[0]
    plans, inputs, texts = planned(requests, root)
    check_space(folders(root / "out"), NEEDED_BYTES)
    if (known_as := revision(root)) == UNKNOWN:
        tell("revision unknown: git is missing, or this is not a clone; the record says so")
    engine = provision.ensure_engine(root, plans[0], first.builder, inputs, tell)
    if first.push:
        check_push(engine, first.variant)
    return [
        Work(
            request,
            made,
            text,
            root,
            root / "out" / made.name,
            engine,
            inputs,
            tell,
            seen,
            known_as,
        )
        for request, made, text in zip(requests, plans, texts, strict=True)
    ]


def planned(requests: Sequence[Request], root: Path) -> tuple[list[plan.Plan], Inputs, list[str]]:
    """Plans, what they are made of, and their Dockerfiles; raises UsageError or FetchError."""
    first = requests[0]
    pinned, known = project.load(root, first.versions)
    plans = [
        plan.make(pinned, known, request.variant, first.supply, first.architecture)
        for request in requests
    ]
    check_cache()
    inputs = Inputs(
        requirements.load(first.versions, pinned, known, root), Store(source=first.offline)
    )
    return (
        plans,
        inputs,
        [_checked(request, made, root) for request, made in zip(requests, plans, strict=True)],
    )


def _is_name(tag: str) -> bool:
    """Whether an engine takes it for an image's name: longer ones are refused, an id's digits are
    an id.
    """
    return len(tag) <= LONGEST_NAME and bool(TAG.fullmatch(tag)) and not IMAGE_ID.fullmatch(tag)


def _checked(request: Request, planned: plan.Plan, root: Path) -> str:
    """The Dockerfile of a request that can be done."""
    if request.tag and not _is_name(request.tag):
        raise UsageError(f"--tag {request.tag!r}: not an image name; write it as team/worker:1.2")
    if request.push and not (request.judge and request.tag and "/" in request.tag):
        raise UsageError(
            "--push: only a judged image with a name of its own is pushed; add --tag"
            " REGISTRY/NAME:TAG"
        )
    machine.check(machine.Machine.here(), planned.supply, request.variant)
    if planned.missing:
        raise UsageError(
            f"variant {planned.variant} cannot be built yet: no images/components/ folder for"
            f" {', '.join(planned.missing)}"
        )
    _check_architecture(planned, root)
    if request.offline and planned.supply == "vendor":
        raise UsageError(
            "--offline serves --supply packages; with vendor, replace the stage of downloads:"
            " docker buildx --build-context"
        )
    text = render.dockerfile(planned, root)
    if planned.supply == "vendor":
        reach.check(text)
    return text


def _check_architecture(planned: plan.Plan, root: Path) -> None:
    """Refuse what cannot be compiled for the architecture; raises UsageError."""
    unfit = [
        each.name
        for each in planned.components
        if planned.architecture not in render.architectures(planned, each, root)
    ]
    if planned.cross and planned.supply == "vendor":
        raise UsageError(f"--arch {planned.architecture} is built with --supply packages alone")
    if unfit:
        raise UsageError(
            f"--arch {planned.architecture}: {planned.variant} holds {', '.join(unfit)}, built for"
            " amd64 alone; build slim"
        )
