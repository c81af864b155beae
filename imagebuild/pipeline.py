"""Pins to a judged, tagged image: the stages in order."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild import buildx, context, judging, pins, plan, record, render, unchanged
from imagebuild.context import Roots, Tell
from imagebuild.work import Request, Work, load, prepare

OUTPUT = "type=docker,dest={},rewrite-timestamp=true,oci-mediatypes=true"


@dataclass(frozen=True)
class Outcome:
    """What a build came to."""

    record: record.Record
    tag: str | None
    built: bool
    seconds: float


def run(request: Request, root: Path, tell: Tell) -> Outcome:
    """Build what changed, judge what was not judged, tag last."""
    begun = time.monotonic()
    work = prepare(request, root, tell)
    with record.exclusive(work.out, tell):
        made, built = _image(work)
        made, tag = _judged(work, made)
    return Outcome(made, tag, built, time.monotonic() - begun)


def _image(work: Work) -> tuple[record.Record, bool]:
    """The image of this plan in the engine: the recorded one when no input changed, else a new build."""
    roots = context.roots(work.plan, work.root, refresh=work.request.refresh)
    key = {"Dockerfile": record.text_digest(work.dockerfile), "source_date_epoch": str(work.plan.epoch)}
    key |= {f"{each.name} packages": each.key for each in roots.rows}
    for component in work.plan.modules:
        for name in ("go.mod", "go.sum"):
            path = work.root / "images" / "components" / component.name / name
            key[f"{component.name} {name}"] = record.text_digest(path.read_text())
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
    law = unchanged.digest([*unchanged.judge_files(work.root), work.request.versions], work.root)
    if made.judged != law or work.request.again:
        judging.judge(work, made, archive)
        if archive == candidate:
            candidate.replace(accepted)
    candidate.unlink(missing_ok=True)
    tag = work.request.tag or f"worker:{made.variant}"
    work.images.tag(made.engine_id, tag)
    # Only the plain request is answered quickly: its answer depends on files alone.
    plain = replace(work.request, again=False) == Request(made.variant, work.root / "versions.yaml")
    seen = unchanged.fingerprint(work.seen, made.resolution) if plain else ""
    done = replace(made, judged=law, inputs=seen, archive=unchanged.stamp(accepted))
    done.write(work.out / "build.json")
    return done, tag


def generated(root: Path) -> dict[Path, str]:
    """Every committed file that a program writes, with the text it must have."""
    pinned, known = load(root, root / "versions.yaml")
    files = {root / "images" / name / render.COMMITTED: render.dockerfile(plan.make(pinned, known, name), root) for name in known.buildable}
    return {root / "versions.schema.json": pins.json_schema(), **files}
