"""Pins to a judged, tagged image: the stages in order."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from worker_images.build import context, gotoolchain, plan, record, render, tars, testing, uptodate
from worker_images.build.plan import ALL
from worker_images.build.tars import Tell
from worker_images.build.work import Request, Work, planned, prepare
from worker_images.engine import buildx, push
from worker_images.errors import EngineError, InterruptedBuildError, JudgeError
from worker_images.files import swept, whole
from worker_images.model import pins, project
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.outline import outline


def run(requests: Sequence[Request], root: Path, tell: Tell) -> tuple[record.Outcome, ...]:
    """Build what changed, at once, then judge what was not judged and tag it, one by one."""
    begun = time.monotonic()
    works = prepare(requests, root, tell)
    with contextlib.ExitStack() as held:
        for work in sorted(works, key=lambda work: work.out):
            held.enter_context(record.exclusive(work.out, tell))
        # Before anything is made: what is edited from here on is another input.
        keys = {work.plan.variant: _key(work) for work in works}
        made = {
            work.plan.variant: earlier
            for work in works
            if (earlier := _unchanged(work, keys[work.plan.variant]))
        }
        stale = [work for work in works if work.plan.variant not in made]
        made |= _build(stale, keys) if stale else {}
        # Before it is applied: what is edited from here on is another law.
        law = uptodate.digest([*uptodate.judge_files(root), requests[0].versions], root)
        verdicts = [
            held.enter_context(_trial(work, made[work.plan.variant], law)) for work in works
        ]
        outcomes, refused, tagged = [], [], list[str]()
        try:
            for work, verdict in zip(works, verdicts, strict=True):
                try:
                    verdict()
                    done, tag = _accepted(work, made[work.plan.variant], law, tagged)
                    outcomes.append(
                        record.Outcome(done, tag, work in stale, time.monotonic() - begun)
                    )
                except JudgeError as error:
                    refused.append(str(error))
        except KeyboardInterrupt as error:
            raise _interrupted(tagged, pushing=requests[0].push) from error
    if refused:
        raise JudgeError(
            "\n".join([*refused, *(f"passed and tagged: {outcome.tag}" for outcome in outcomes)])
        )
    return tuple(outcomes)


def _interrupted(tagged: Sequence[str], *, pushing: bool) -> BaseException:
    """What an interrupt leaves behind, in words."""
    if not tagged:
        return KeyboardInterrupt()
    what = f"interrupted; tested and tagged: {', '.join(tagged)}"
    if pushing:
        what += "; the push did not end: the registry may hold some of its layers"
    return InterruptedBuildError(f"{what}; the same command does the rest")


def _key(work: Work) -> dict[str, str]:
    """A digest of each input, by name."""
    key = {
        "Dockerfile": record.text_digest(work.dockerfile),
        "source_date_epoch": str(work.plan.epoch),
    }
    key |= {
        f"{each.name} packages": each.key
        for each in context.roots(work.plan, work.inputs.lock, work.root)
    }
    key |= {
        f"{component.name} wheel": work.inputs.lock.wheels[component.name].sha256
        for component in work.plan.wheels
    }
    key |= (
        {"Go toolchain": gotoolchain.key(work.inputs.lock.toolchain.sum)}
        if work.plan.modules
        else {}
    )
    return key | {
        name: record.text_digest(text) for name, text in context.texts(work.plan, work.root).items()
    }


def _unchanged(work: Work, key: Mapping[str, str]) -> record.Record | None:
    """The recorded image, when no input changed and the engine still holds it.

    Says why where not.
    """
    earlier = record.Record.read(work.out / "build.json")
    reasons = record.changed(key, earlier) or (("--no-cache",) if work.request.no_cache else ())
    if earlier and not reasons:
        if record.is_of(work.out / "image.tar", earlier) and work.images.holds(earlier.engine_id):
            work.tell(f"nothing to build: no input changed and the engine holds {earlier.image_id}")
            return earlier
        reasons = ("the built image is gone",)
    work.tell(f"building {work.plan.variant}: {', '.join(reasons)}")
    return None


def _build(
    works: Sequence[Work], keys: Mapping[str, Mapping[str, str]]
) -> dict[str, record.Record]:
    """One build of all that is stale, in one context, so that what variants share is made once."""
    begun, first = time.monotonic(), works[0]
    out = first.out if len(works) == 1 else first.root / "out" / ALL
    folder = tars.cleared(out / "context")
    jobs = {}
    with contextlib.ExitStack() as held:
        parts = {
            work.plan.variant: held.enter_context(whole(swept(work.out) / "candidate.tar"))
            for work in works
        }
        for work in works:
            dockerfile = context.lay_out(
                folder, work.dockerfile, work.plan, work.inputs, work.root, work.tell
            )
            output = buildx.archive(parts[work.plan.variant])
            job = buildx.Job(
                dockerfile, folder, output, work.plan.epoch, architecture=work.plan.architecture
            )
            jobs[work.plan.variant] = replace(job, no_cache=work.request.no_cache)
        buildx.build(first.endpoint, jobs, out / "build.log")
        with ThreadPoolExecutor() as pool:
            made = pool.map(
                lambda work: _loaded(
                    work, parts[work.plan.variant], keys[work.plan.variant], begun
                ),
                works,
            )
            return {each.variant: each for each in made}


def _loaded(work: Work, archive: Path, key: Mapping[str, str], begun: float) -> record.Record:
    digest, image_id, size = record.manifest(archive)
    return record.Record(
        variant=work.plan.variant,
        supply=work.plan.supply,
        versions={component.name: component.stamp for component in work.plan.components},
        key=key,
        image_id=image_id,
        manifest_digest=digest,
        size=_unpacked_size(archive),
        compressed_size=size,
        engine_id=work.images.load(archive),
        engine=str(work.engine),
        archive=record.stamp(archive),
        seconds=round(time.monotonic() - begun, 1),
        revision=work.revision,
        limits=render.limits(work.plan, work.root),
        resolved=work.inputs.lock.debian.resolved if work.plan.supply == "packages" else None,
    )


def _unpacked_size(archive: Path) -> int:
    """Bytes of an image archive's unpacked layers; raises EngineError."""
    try:
        return sum(size for _, size in outline(archive).layers)
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error


def _trial(
    work: Work, made: record.Record, law: str
) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """The judge of an image that this judge has not passed already."""
    if not work.request.judge or (made.judged == law and not work.request.again):
        return contextlib.nullcontext(lambda: None)
    # The judge reads them; it knows of no folder that stands for the network.
    for each in context.roots(work.plan, work.inputs.lock, work.root):
        if each.name not in {"cgo", tars.NATIVE}:
            work.inputs.store.debs(
                each.packages, work.plan.debian, work.inputs.lock.debian.resolved
            )
    accepted = work.out / "image.tar"
    return testing.trial(
        work, made, accepted if record.is_of(accepted, made) else work.out / "candidate.tar"
    )


def _accepted(
    work: Work, made: record.Record, law: str, tagged: list[str]
) -> tuple[record.Record, str | None]:
    """What passed, and only that, is recorded and tagged."""
    candidate, accepted = work.out / "candidate.tar", work.out / "image.tar"
    if not work.request.judge:
        work.tell(f"not judged, so not tagged: {candidate if candidate.exists() else accepted}")
        return made, None
    if not record.is_of(accepted, made):
        candidate.replace(accepted)
    candidate.unlink(missing_ok=True)
    tag = work.request.tag or f"worker:{work.plan.name}"
    work.images.tag(made.engine_id, tag)
    tagged.append(tag)
    # Only the plain request is answered quickly: its answer depends on files alone.
    plain = replace(work.request, again=False) == Request(made.variant, work.root / "versions.yaml")
    seen = work.seen if plain else ""
    done = replace(made, judged=law, inputs=seen, archive=record.stamp(accepted))
    done.write(work.out / "build.json")
    if work.request.push:
        work.tell(f"pushing {tag}")
        push.push(work.endpoint.address, tag, made.manifest_digest)
    return done, tag


def generated(root: Path) -> dict[Path, str]:
    """Every committed file that a program writes, with the text it must have."""
    pinned, known = project.load(root, root / "versions.yaml")
    files = {
        root / "images" / name / render.COMMITTED: render.dockerfile(
            plan.make(pinned, known, name), root
        )
        for name in known.buildable
    }
    return {root / "versions.schema.json": pins.json_schema(), **files}


def bake_file(requests: Sequence[Request], root: Path, tell: Tell) -> str:
    """A bake file that builds what is requested, from the repository root, and the context that it
    reads.
    """
    plans, inputs, texts = planned(requests, root)
    place = Path("out") / (plans[0].name if len(plans) == 1 else ALL) / "bake"
    jobs = {}
    with record.exclusive(root / place, tell):
        folder = tars.cleared(root / place / "context")
        for each, text in zip(plans, texts, strict=True):
            # bake takes it for a path of the context.
            dockerfile = context.lay_out(folder, text, each, inputs, root, tell).relative_to(folder)
            # Not the archive of a build: that one is tested and recorded.
            output = buildx.archive(place / f"{each.name}.tar")
            jobs[each.variant] = buildx.Job(
                dockerfile, place / "context", output, each.epoch, architecture=each.architecture
            )
    return buildx.bake(jobs)
