"""Build, test and tag images: the stages in order."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from worker_images.build import (
    context,
    layer_inputs,
    recompress,
    record,
    site,
    tagging,
    tars,
    testing,
    uptodate,
)
from worker_images.build.jobs import BuildJob, Request, prepare
from worker_images.build.plan import ALL, Plan
from worker_images.build.record import Outcome, Record
from worker_images.build.tars import Progress
from worker_images.build.testing import CheckResults
from worker_images.engine import buildx
from worker_images.errors import EngineError
from worker_images.files import (
    atomic_path,
    files_digest,
    text_digest,
    without_stale_parts,
    write_atomic,
)
from worker_images.model.ledger import inputs_file
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.inflate import Compression
from worker_images.model.oci.outline import outline
from worker_images.model.project import Project

Key = Mapping[str, str]


def run(requests: Sequence[Request], project: Project, progress: Progress) -> tuple[Outcome, ...]:
    """Build the images that changed in one build, then test and tag each that needs it."""
    with finished(requests, project, progress) as outcomes:
        return outcomes


@contextlib.contextmanager
def finished(
    requests: Sequence[Request], project: Project, progress: Progress, work: str = "building"
) -> Iterator[tuple[Outcome, ...]]:
    """Build, test and tag, and keep the images' folders locked in the block."""
    started = time.monotonic()
    jobs = prepare(requests, project, progress)
    with contextlib.ExitStack() as locks:
        for job in sorted(jobs, key=lambda job: job.out):
            locks.enter_context(record.exclusive(job.out, progress, work))
        yield _finish(jobs, project, started)


def _finish(jobs: Sequence[BuildJob], project: Project, started: float) -> tuple[Outcome, ...]:
    with contextlib.ExitStack() as held:
        records, rebuilt = _find_or_build(jobs)
        # Computed before the tests start, so that the next run sees later edits as changes.
        digest = tests_digest(project)
        checks = [
            held.enter_context(_start_tests(job, records[job.plan.variant], digest)) for job in jobs
        ]
        done = tagging.tag_passed(jobs, records, checks, digest)
        return tuple(
            Outcome(each, tag, each.variant in rebuilt, time.monotonic() - started)
            for each, tag in done
        )


def _find_or_build(jobs: Sequence[BuildJob]) -> tuple[dict[str, Record], set[str]]:
    """Return the records of all jobs by variant, and the variants that were built now."""
    # Computed before the build starts, so that the next build sees later edits as changes.
    keys = {
        job.plan.variant: key_of(job.plan, job.dockerfile, job.request.compression) for job in jobs
    }
    records = {
        job.plan.variant: earlier
        for job in jobs
        if (earlier := find_unchanged(job, keys[job.plan.variant]))
    }
    stale = [job for job in jobs if job.plan.variant not in records]
    if stale:
        records |= _build(stale, keys)
    return records, {job.plan.variant for job in stale}


def key_of(plan: Plan, dockerfile: str, compression: Compression) -> dict[str, str]:
    """Return the digest of each input, by name."""
    return {
        "Dockerfile": text_digest(dockerfile),
        "file_time": str(plan.file_time),
        "created": str(plan.created),
        "compression": compression,
        **{each.name: each.digest for each in plan.inputs},
    }


def tests_digest(project: Project) -> str:
    """Return one digest of the files that decide whether an image passes its tests."""
    return files_digest([*uptodate.test_files(project.tree), project.versions], project.root)


def find_unchanged(job: BuildJob, key: Key) -> Record | None:
    """Return the record if no input changed and the image is still here.

    Otherwise report why a build is needed.
    """
    earlier = Record.read(job.out / "build.json")
    options = {"--no-cache": job.request.no_cache, "--cache-to": bool(job.request.cache_to)}
    reasons = record.changed(key, earlier) or tuple(name for name in options if options[name])
    if earlier and not reasons:
        if found := _kept(job, earlier):
            return found
        reasons = ("the built image is missing",)
    job.progress(f"building {job.plan.variant}: {', '.join(reasons)}")
    return None


def _kept(job: BuildJob, earlier: Record) -> Record | None:
    """Return the record of an image whose archive is complete; load it if the engine lacks it.

    An archive that is loaded may come from another machine, so it is tested again.
    """
    archive = job.out / "image.tar"
    if not record.matches(archive, earlier):
        return None
    if job.images.holds(earlier.engine_id):
        job.progress(f"nothing to build: no input changed and the engine holds {earlier.image_id}")
        return earlier
    try:
        loaded = job.images.load(archive)
    except EngineError as error:
        job.progress(str(error))
        return None
    job.progress(f"nothing to build: no input changed; loaded {earlier.image_id} from {archive}")
    return replace(earlier, engine_id=loaded, tests_digest="", source_digest="")


def _build(jobs: Sequence[BuildJob], keys: Mapping[str, Key]) -> dict[str, Record]:
    """Build all stale images in one build with one context, so that shared stages run once."""
    started, first = time.monotonic(), jobs[0]
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
                buildx.archive(parts[plan.variant], job.request.compression),
                plan.created,
                architecture=plan.architecture,
                no_cache=job.request.no_cache,
                cache_from=_cache(job.request.cache_from, plan.name),
                cache_to=_cache(job.request.cache_to, plan.name),
                network=plan.source == "upstream",
                contexts=site.contexts(plan, job.project.pins.mirrors),
                secrets=site.secrets(plan, job.project.pins.mirrors),
            )
        buildx.build(first.endpoint, targets, out / "build.log")

        def load(job: BuildJob) -> Record:
            return _load(job, parts[job.plan.variant], keys[job.plan.variant], started)

        with ThreadPoolExecutor() as pool:
            return {each.variant: each for each in pool.map(load, jobs)}


def _cache(repository: str | None, name: str) -> str | None:
    """Return the cache of an image: each has its own tag, because an export replaces all of it."""
    return f"{repository}:{name}" if repository else None


def _load(job: BuildJob, archive: Path, key: Key, started: float) -> Record:
    """Load a new archive into the engine and return its record."""
    if job.request.compression == "zstd":
        job.progress(f"compressing {job.plan.variant} with zstd")
        recompress.with_zstd(archive)
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
        archive_stat=record.archive_stat(archive),
        seconds=round(time.monotonic() - started, 1),
        revision=job.revision,
        architecture=plan.architecture,
        lacks=plan.lacks,
        resolved=", ".join(plan.resolved),
    )


def _unpacked_size(archive: Path) -> int:
    """Return the bytes of an archive's unpacked layers; raises EngineError."""
    try:
        return sum(size for _, size in outline(archive).layers)
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error


def _start_tests(
    job: BuildJob, built: Record, digest: str
) -> contextlib.AbstractContextManager[CheckResults]:
    """Start the tests of an image, unless it has already passed the same tests."""
    if not job.request.test or (built.tests_digest == digest and not job.request.retest):
        return contextlib.nullcontext(lambda: None)
    # The test harness reads packages from the store and does not know --offline.
    context.fetch_packages(job.plan, job.store)
    accepted = job.out / "image.tar"
    archive = accepted if record.matches(accepted, built) else job.out / "candidate.tar"
    if job.plan.source == "packages":
        digests = layer_inputs.input_digests(job.plan, job.root)
        write_atomic(inputs_file(archive), json.dumps(digests, indent=1) + "\n")
    return testing.start(job, built, archive)
