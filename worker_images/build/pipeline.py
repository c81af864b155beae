"""Pins to a tested, tagged image: the stages in order."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from worker_images.build import context, layers, record, tars, testing, uptodate
from worker_images.build.plan import ALL
from worker_images.build.record import Outcome, Record
from worker_images.build.tars import Progress
from worker_images.build.work import BuildJob, Request, prepare
from worker_images.engine import buildx, push
from worker_images.errors import EngineError, FailedTestsError, InterruptedBuildError
from worker_images.files import atomic_path, text_digest, without_stale_parts, write_atomic
from worker_images.model.ledger import INPUTS
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.outline import outline
from worker_images.model.project import Project

Verdict = Callable[[], None]
Key = Mapping[str, str]


def run(requests: Sequence[Request], project: Project, progress: Progress) -> tuple[Outcome, ...]:
    """Build what changed, in one build, then test what was not tested and tag it, one by one."""
    begun = time.monotonic()
    jobs = prepare(requests, project, progress)
    with contextlib.ExitStack() as held:
        for job in sorted(jobs, key=lambda job: job.out):
            held.enter_context(record.exclusive(job.out, progress))
        made, built = _made(jobs)
        # Before the tests start: the next run sees later edits as changes.
        tests = [*uptodate.test_files(project.root), project.versions]
        digest = uptodate.digest(tests, project.root)
        verdicts = [
            held.enter_context(_testing(job, made[job.plan.variant], digest)) for job in jobs
        ]
        done = _accept_all(jobs, made, verdicts, digest)
        return tuple(
            Outcome(each, tag, each.variant in built, time.monotonic() - begun)
            for each, tag in done
        )


def _made(jobs: Sequence[BuildJob]) -> tuple[dict[str, Record], set[str]]:
    """The images of all jobs by variant, and the variants that were built now."""
    # Before anything is made: the next build sees later edits as changes.
    keys = {job.plan.variant: key_of(job) for job in jobs}
    made = {
        job.plan.variant: earlier
        for job in jobs
        if (earlier := _unchanged(job, keys[job.plan.variant]))
    }
    stale = [job for job in jobs if job.plan.variant not in made]
    if stale:
        made |= _build(stale, keys)
    return made, {job.plan.variant for job in stale}


def key_of(job: BuildJob) -> dict[str, str]:
    """A digest of each input, by name."""
    return {
        "Dockerfile": text_digest(job.dockerfile),
        "source_date_epoch": str(job.plan.epoch),
        **{each.name: each.digest for each in job.plan.inputs},
    }


def _unchanged(job: BuildJob, key: Key) -> Record | None:
    """The recorded image, when no input changed and the engine still holds it.

    Says why where not.
    """
    earlier = Record.read(job.out / "build.json")
    reasons = record.changed(key, earlier) or (("--no-cache",) if job.request.no_cache else ())
    if earlier and not reasons:
        if record.is_of(job.out / "image.tar", earlier) and job.images.holds(earlier.engine_id):
            job.progress(
                f"nothing to build: no input changed and the engine holds {earlier.image_id}"
            )
            return earlier
        reasons = ("the built image is gone",)
    job.progress(f"building {job.plan.variant}: {', '.join(reasons)}")
    return None


def _build(jobs: Sequence[BuildJob], keys: Mapping[str, Key]) -> dict[str, Record]:
    """One build of all that is stale, in one context, so that shared stages run once."""
    begun, first = time.monotonic(), jobs[0]
    out = first.out if len(jobs) == 1 else first.root / "out" / ALL
    folder = tars.cleared(out / "context")
    targets = {}
    with contextlib.ExitStack() as held:
        parts = {
            job.plan.variant: held.enter_context(
                atomic_path(without_stale_parts(job.out) / "candidate.tar")
            )
            for job in jobs
        }
        for job in jobs:
            plan = job.plan
            dockerfile = context.lay_out(folder, job.dockerfile, plan, job.store, job.progress)
            targets[plan.variant] = buildx.Job(
                dockerfile,
                folder,
                buildx.archive(parts[plan.variant]),
                plan.epoch,
                architecture=plan.architecture,
                no_cache=job.request.no_cache,
            )
        buildx.build(first.endpoint, targets, out / "build.log")

        def loaded(job: BuildJob) -> Record:
            return _loaded(job, parts[job.plan.variant], keys[job.plan.variant], begun)

        with ThreadPoolExecutor() as pool:
            return {each.variant: each for each in pool.map(loaded, jobs)}


def _loaded(job: BuildJob, archive: Path, key: Key, begun: float) -> Record:
    """The record of an archive that was just built, once the engine holds its image."""
    digest, image_id, size = record.manifest(archive)
    plan = job.plan
    return Record(
        variant=plan.variant,
        source=plan.source,
        versions={each.name: each.reported_version for each in plan.components},
        key=key,
        image_id=image_id,
        manifest_digest=digest,
        size=_unpacked_size(archive),
        compressed_size=size,
        engine_id=job.images.load(archive),
        engine=str(job.engine),
        archive_stat=record.stamp(archive),
        seconds=round(time.monotonic() - begun, 1),
        revision=job.revision,
        lacks=plan.lacks,
        resolved=plan.resolved,
    )


def _unpacked_size(archive: Path) -> int:
    """Bytes of an image archive's unpacked layers; raises EngineError."""
    try:
        return sum(size for _, size in outline(archive).layers)
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error


def _testing(
    job: BuildJob, made: Record, digest: str
) -> contextlib.AbstractContextManager[Verdict]:
    """The tests of an image under way, unless these very tests have passed before."""
    if not job.request.test or (made.tests_digest == digest and not job.request.retest):
        return contextlib.nullcontext(lambda: None)
    # The test harness reads the packages from the store, and knows nothing of --offline.
    context.fetch_packages(job.plan, job.store)
    digests = layers.input_digests(job.plan, job.root)
    write_atomic(job.out / INPUTS, json.dumps(digests, indent=1) + "\n")
    accepted = job.out / "image.tar"
    archive = accepted if record.is_of(accepted, made) else job.out / "candidate.tar"
    return testing.trial(job, made, archive)


def _accept_all(
    jobs: Sequence[BuildJob],
    made: Mapping[str, Record],
    verdicts: Sequence[Verdict],
    digest: str,
) -> list[tuple[Record, str | None]]:
    """Record and tag each image that passes; raises FailedTestsError for those that do not."""
    done: list[tuple[Record, str | None]] = []
    failed, tagged = list[str](), list[str]()
    try:
        for job, verdict in zip(jobs, verdicts, strict=True):
            try:
                verdict()
                done.append(_accept(job, made[job.plan.variant], digest, tagged))
            except FailedTestsError as error:
                failed.append(str(error))
    except KeyboardInterrupt as error:
        raise _interrupted(tagged, pushing=jobs[0].request.push) from error
    if failed:
        raise FailedTestsError(
            "\n".join([*failed, *(f"passed and tagged: {tag}" for _, tag in done)])
        )
    return done


def _accept(
    job: BuildJob, made: Record, digest: str, tagged: list[str]
) -> tuple[Record, str | None]:
    """Record and tag one image that passed."""
    candidate, accepted = job.out / "candidate.tar", job.out / "image.tar"
    if not job.request.test:
        job.progress(f"not tested, so not tagged: {candidate if candidate.exists() else accepted}")
        return made, None
    if not record.is_of(accepted, made):
        candidate.replace(accepted)
    candidate.unlink(missing_ok=True)
    tag = job.request.tag or job.plan.tag
    job.images.tag(made.engine_id, tag)
    tagged.append(tag)
    done = replace(
        made,
        tests_digest=digest,
        source_digest=job.source_digest if job.answers_from_files else "",
        archive_stat=record.stamp(accepted),
    )
    done.write(job.out / "build.json")
    if job.request.push:
        job.progress(f"pushing {tag}")
        push.push(job.endpoint.address, tag, made.manifest_digest)
    return done, tag


def _interrupted(tagged: Sequence[str], *, pushing: bool) -> BaseException:
    """What an interrupt leaves behind."""
    if not tagged:
        return KeyboardInterrupt()
    what = f"interrupted; tested and tagged: {', '.join(tagged)}"
    if pushing:
        what += "; the push did not end: the registry may hold some of its layers"
    return InterruptedBuildError(f"{what}; the same command does the rest")
