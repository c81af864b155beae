"""Record and tag the images that passed their tests, then push them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from worker_images.build import record
from worker_images.build.jobs import BuildJob
from worker_images.build.record import Record
from worker_images.build.testing import CheckResults
from worker_images.engine import push
from worker_images.errors import FailedTestsError, ImageBuildError, InterruptedBuildError
from worker_images.model.ledger import inputs_file


def tag_passed(
    jobs: Sequence[BuildJob],
    records: Mapping[str, Record],
    checks: Sequence[CheckResults],
    digest: str,
) -> list[tuple[Record, str | None]]:
    """Record and tag each image that passed; raises FailedTestsError if any image failed.

    The message of any error also names the images that passed.
    """
    done: list[tuple[Record, str | None]] = []
    failed, tagged = list[str](), list[str]()
    try:
        for job, check_results in zip(jobs, checks, strict=True):
            try:
                check_results()
                done.append(_accept(job, records[job.plan.variant], digest, tagged))
            except FailedTestsError as error:
                failed.append(str(error))
    except KeyboardInterrupt as error:
        raise _interrupted(tagged, pushing=jobs[0].request.push) from error
    except ImageBuildError as error:
        error.args = (_with_results(str(error), failed, done),)
        raise
    if failed:
        raise FailedTestsError(_with_results("", failed, done))
    return done


def _with_results(
    message: str, failed: Sequence[str], done: Sequence[tuple[Record, str | None]]
) -> str:
    """Return a message with the images that failed before it and those that passed after it."""
    passed = [f"passed and tagged: {tag}" for _, tag in done if tag]
    return "\n".join(filter(None, [*failed, message, *passed]))


def _accept(
    job: BuildJob, built: Record, digest: str, tagged: list[str]
) -> tuple[Record, str | None]:
    """Record and tag one image that passed."""
    candidate, accepted = job.out / "candidate.tar", job.out / "image.tar"
    if not job.request.test:
        job.progress(f"not tested, so not tagged: {candidate if candidate.exists() else accepted}")
        return built, None
    if not record.matches(accepted, built):
        candidate.replace(accepted)
        _move(inputs_file(candidate), inputs_file(accepted))
    candidate.unlink(missing_ok=True)
    tag = job.request.tag or job.plan.tag
    job.images.tag(built.engine_id, tag)
    tagged.append(tag)
    done = replace(
        built,
        tests_digest=digest,
        source_digest=job.source_digest if job.depends_on_files_only else "",
        archive_stat=record.archive_stat(accepted),
    )
    done.write(job.out / "build.json")
    if job.request.push:
        job.progress(f"pushing {tag}")
        push.push(job.endpoint.address, tag, built.manifest_digest)
    return done, tag


def _move(source: Path, target: Path) -> None:
    """Move a file; a missing source removes the target."""
    if source.exists():
        source.replace(target)
    else:
        target.unlink(missing_ok=True)


def _interrupted(tagged: Sequence[str], *, pushing: bool) -> BaseException:
    """Return the error of an interrupt, which names the images that are already tagged."""
    if not tagged:
        return KeyboardInterrupt()
    message = f"interrupted; tested and tagged: {', '.join(tagged)}"
    if pushing:
        message += "; the push did not finish, and the registry may have some of its layers"
    return InterruptedBuildError(f"{message}; run the same command again to continue")
