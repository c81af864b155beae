"""Pins to a judged, tagged image: the stages in order."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from imagebuild import buildx, catalog, context, golang, machine, pins, plan, reach, record, render, unchanged
from imagebuild.context import Roots, Tell
from imagebuild.engine import Endpoint, check_space
from imagebuild.errors import JudgeError, UsageError
from imagebuild.images import Images
from imagebuild.places import CACHE

NEEDED_BYTES = 4 * 10**9
OUTPUT = "type=docker,dest={},rewrite-timestamp=true,oci-mediatypes=true"


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    variant: str
    versions: Path
    supply: pins.Supply | None = None
    builder: str | None = None
    tag: str | None = None
    refresh: bool = False
    no_cache: bool = False
    judge: bool = True


@dataclass(frozen=True)
class Work:
    """A request with everything that its stages share."""

    request: Request
    plan: plan.Plan
    dockerfile: str
    root: Path
    out: Path
    endpoint: Endpoint
    tell: Tell

    @property
    def images(self) -> Images:
        """The images of the engine that does the work."""
        return Images(self.endpoint.host)


@dataclass(frozen=True)
class Outcome:
    """What a build came to."""

    record: record.Record
    tag: str | None
    built: bool
    seconds: float


def load(root: Path, versions: Path) -> tuple[pins.Pins, catalog.Catalog]:
    """Read pins and catalogue and hold them against each other; raises DocumentError."""
    name = str(versions.relative_to(root)) if versions.is_relative_to(root) else str(versions)
    pinned, document = pins.load(versions, name)
    known = catalog.load(root)
    catalog.check(pinned, document, known, root)
    return pinned, known


def run(request: Request, root: Path, tell: Tell) -> Outcome:
    """Build what changed, judge what was not judged, tag last."""
    begun = time.monotonic()
    work = _work(request, root, tell)
    with record.exclusive(work.out, tell):
        made, built = _image(work)
        made, tag = _judged(work, made)
    return Outcome(made, tag, built, time.monotonic() - begun)


def _work(request: Request, root: Path, tell: Tell) -> Work:
    """All that is refused is refused here, before any work; then the engine."""
    planned = plan.make(*load(root, request.versions), request.variant, request.supply)
    machine.check(machine.Machine.here(), planned.supply, request.variant)
    if planned.missing:
        raise UsageError(f"variant {planned.variant} cannot be built yet: no images/components/ folder for {', '.join(planned.missing)}")
    text, out = render.dockerfile(planned, root), root / "out" / planned.variant
    golang.check(planned, root)
    check_space({"images": out, "the engine": CACHE}, NEEDED_BYTES)
    if planned.supply == "vendor":
        reach.check(text)
    return Work(request, planned, text, root, out, context.ensure_engine(root, planned, request.builder, tell), tell)


def _image(work: Work) -> tuple[record.Record, bool]:
    """The image of this plan in the engine: the recorded one when no input changed, else a new build."""
    roots = context.roots(work.plan, work.root, refresh=work.request.refresh)
    key = {"Dockerfile": record.text_digest(work.dockerfile), "source_date_epoch": str(work.plan.epoch)}
    key |= {f"{each.name} packages": each.key for each in roots.rows}
    for component in work.plan.modules:
        sums = work.root / "images" / "components" / component.name / "go.sum"
        key[f"{component.name} go.sum"] = record.text_digest(sums.read_text())
    earlier = record.Record.read(work.out / "build.json")
    reasons = record.changed(key, earlier) or (("--no-cache",) if work.request.no_cache else ())
    if earlier and not reasons:
        if record.is_of(work.out / "image.tar", earlier) and work.images.holds(earlier.engine_id):
            work.tell(f"nothing to build: no input changed and the engine holds {earlier.digest}")
            return replace(earlier, resolved=roots.resolved), False
        reasons = ("the built image is gone",)
    work.tell(f"building {work.plan.variant}: {', '.join(reasons)}")
    return _build(work, key, roots), True


def _build(work: Work, key: Mapping[str, str], roots: Roots) -> record.Record:
    begun = time.monotonic()
    folder = work.out / "context"
    dockerfile = context.lay_out(folder, work.dockerfile, work.plan, roots.rows, work.root, work.tell)
    part = work.out / ".image.tar.part"
    job = buildx.Job(dockerfile, folder, OUTPUT.format(part), work.plan.epoch, no_cache=work.request.no_cache)
    with _gone_on_failure(part):
        buildx.build(work.endpoint, job, work.out / "build.log")
        digest, config, size = record.manifest(part)
        identity = work.images.load(part)
        part.replace(work.out / "candidate.tar")
    return record.Record(
        variant=work.plan.variant,
        supply=work.plan.supply,
        versions={component.name: component.stamp for component in work.plan.components},
        key=key,
        digest=digest,
        config_digest=config,
        size=size,
        engine_id=identity,
        resolved=roots.resolved,
        resolution=roots.resolution,
        seconds=round(time.monotonic() - begun, 1),
        revision=_revision(work.root),
        limits=render.limits(work.plan, work.root),
    )


@contextlib.contextmanager
def _gone_on_failure(path: Path) -> Iterator[None]:
    path.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _revision(folder: Path) -> str:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _judged(work: Work, made: record.Record) -> tuple[record.Record, str | None]:
    """Judge the image unless this judge passed it already; then, and only then, record and tag it."""
    candidate, accepted = work.out / "candidate.tar", work.out / "image.tar"
    archive = accepted if record.is_of(accepted, made) else candidate
    if not work.request.judge:
        work.tell(f"not judged, so not tagged: {archive}")
        return made, None
    law = unchanged.digest(unchanged.judge_files(work.root), work.root)
    if made.judged != law:
        _judge(work, made, archive)
        if archive == candidate:
            candidate.replace(accepted)
    tag = work.request.tag or f"worker:{made.variant}"
    work.images.tag(made.engine_id, tag)
    seen = unchanged.fingerprint(work.root, work.request.versions, made.resolution)
    done = replace(made, judged=law, inputs=seen, archive=unchanged.stamp(accepted))
    done.write(work.out / "build.json")
    return done, tag


def _judge(work: Work, made: record.Record, archive: Path) -> None:
    work.tell(f"judging {made.digest}")
    log = work.out / "judge.log"
    with log.open("wb") as file:
        passed = _passes(work, archive, file)
    said = log.read_text(errors="replace").strip()
    if not passed:
        work.images.remove(made.engine_id)
        raise JudgeError(
            f"{said}\n\njudging {made.variant}: the image failed, so no tag moved; it is kept at {archive}; what the judge said: {log}"
        )
    work.tell(f"judged: {said.splitlines()[-1].strip('= ')}")


def _passes(work: Work, archive: Path, output: IO[bytes] | None = None) -> bool:
    """Run the image layer in a process of its own, which imports nothing of this one's choices."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/image", "--variant", work.plan.variant, "--supply", work.plan.supply]
    command += ["--image", str(archive), "--versions", str(work.request.versions), "--junit-xml", str(work.out / "judge.xml")]
    environment = work.endpoint.environment
    return (
        subprocess.run(
            command, cwd=work.root, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        ).returncode
        == 0
    )


def test(request: Request, root: Path, tell: Tell) -> None:
    """Build what is missing and run the image layer in the open; raises JudgeError where a check fails."""
    work = _work(request, root, tell)
    run(request, root, tell)
    if not _passes(work, work.out / "image.tar"):
        raise JudgeError(f"testing {request.variant}: the image layer failed; each check is in {work.out / 'judge.xml'}")


def generated(root: Path) -> dict[Path, str]:
    """Every committed file that a program writes, with the text it must have."""
    pinned, known = load(root, root / "versions.yaml")
    files = {root / "images" / name / render.COMMITTED: render.dockerfile(plan.make(pinned, known, name), root) for name in known.buildable}
    return {root / "versions.schema.json": pins.json_schema(), **files}
