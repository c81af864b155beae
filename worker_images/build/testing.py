"""Run the tests of an image as a separate process, isolated from the caller's settings."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from worker_images.build.jobs import BuildJob
from worker_images.build.record import Record
from worker_images.build.tars import cleared
from worker_images.engine.buildx import ended
from worker_images.errors import EngineError, FailedTestsError
from worker_images.model import results, seal
from worker_images.model.results import NOT_RUN, Run

# Waits for the tests of an image, and raises if they did not all pass.
CheckResults = Callable[[], None]

PROGRAM = "worker_images/harness/isolated.py"
LAST_LINES = 5
# With less free space, the disk counts as full: pytest cannot write its report.
MIN_FREE_BYTES = 1 << 20
# After a failure with --cache-from.
CACHED = (
    "; if a layer differs from the ledger, the cache may be wrong: delete it, and empty the"
    " builder, which keeps what it took: docker buildx prune --all"
)
# pytest's status for a complete run with a failed check.
CHECKS_FAILED = 1


@contextlib.contextmanager
def start(job: BuildJob, built: Record, archive: Path) -> Iterator[CheckResults]:
    """Start the tests of an archive and yield a function that waits for their results.

    The function raises FailedTestsError if a check failed, and EngineError if the tests did not
    finish or the report does not show that all checks passed. An exception in the block ends the
    tests.
    """
    job.progress(f"testing {built.variant} {built.image_id}")
    log, report, scratch = job.out / "image.log", job.out / "image.xml", cleared(job.out / "tmp")
    report.unlink(missing_ok=True)
    with log.open("wb") as output:
        # In a new session, Ctrl-C reaches the tests only once, through this process, so that they
        # can remove their containers.
        process = subprocess.Popen(
            _command(job, archive, report),
            cwd=job.project.checkout,
            env=environment(job.endpoint.environment, scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with process, ended(process, signal.SIGINT):
            yield lambda: _check_results(
                job, built, process.wait(), f"the image is kept at {archive}; full log: {log}"
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _command(job: BuildJob, archive: Path, report: Path) -> list[str]:
    """Return the command that runs the isolated pytest on an archive."""
    # The image was built here, and its record is written only after the tests.
    checkout = job.project.checkout
    program = [sys.executable, "-I", "-X", "utf8", str(checkout / PROGRAM), "-q", "--trust"]
    options = {
        "--project": str(job.root),
        "--variant": job.plan.variant,
        "--source": job.plan.source,
        "--arch": job.plan.architecture,
        "--image": str(archive),
        "--versions": str(job.project.versions),
        "--junit-xml": str(report),
    }
    return [*program, *(part for option in options.items() for part in option)]


def environment(caller: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the caller's environment without variables that could change which checks run.

    TMPDIR is the scratch folder, where layers are unpacked.
    """
    kept = {
        name: value
        for name, value in caller.items()
        if not name.startswith(("PYTEST_", "PYTHON", "WRITE_"))
    }
    return kept | {"TMPDIR": str(scratch)}


def _check_results(job: BuildJob, built: Record, status: int, where: str) -> None:
    """Raise FailedTestsError or EngineError unless the report shows that all checks passed."""
    log = (job.out / "image.log").read_text(errors="replace").strip()
    run = _read(job.out / "image.xml")
    failed = run.with_outcome(results.FAILED) if run else ()
    if failed and status == CHECKS_FAILED:
        with contextlib.suppress(EngineError):
            job.images.remove(built.engine_id)
        raise FailedTestsError(
            f"{log}\n\n{built.variant} failed {_count(len(failed))}; the tag is unchanged; {where}"
            f"{CACHED if job.request.cache_from else ''}"
        )
    if status or not run or failed:
        cause = os.linesep.join(log.splitlines()[-LAST_LINES:]) or "no output"
        fault = f"the tests could not finish (status {status}): {cause}"
    else:
        fault = _incomplete(run, built)
    if fault:
        raise _unfinished(job, built.variant, f"{fault}; the tag is unchanged; {where}")
    assert run
    seal.write(job.out / "image.xml", seal.own_key())
    job.progress(f"{built.variant} {_summary(run)}")


def _read(report: Path) -> Run | None:
    """Read the results; None if pytest did not write a valid report."""
    try:
        return results.read(report)
    except (OSError, results.ResultsError):
        return None


def _unfinished(job: BuildJob, variant: str, fault: str) -> EngineError:
    """Delete the results of a run that did not finish and return its error."""
    (job.out / "image.xml").unlink(missing_ok=True)
    if shutil.disk_usage(job.out).free < MIN_FREE_BYTES:
        fault = f"{job.out}: no space left on device; free some space there and run again"
    return EngineError(f"testing {variant}: {fault}")


def _summary(run: Run) -> str:
    reasons = Counter(check.result.reason for check in run.with_outcome(NOT_RUN))
    passed = f"passed {_count(len(run.checks) - reasons.total())}"
    not_run = [
        f"not run: {reason} ({_count(number)})" for reason, number in sorted(reasons.items())
    ]
    return "; ".join([passed, *not_run])


def _count(number: int) -> str:
    return f"{number} {'check' if number == 1 else 'checks'}"


def _incomplete(run: Run, built: Record) -> str:
    """Return why a run without failures does not show that all checks passed; empty if it does."""
    image_id = run.properties.get("image_id", "unknown")
    engine_id = run.properties.get("engine_id", "")
    if (image_id, engine_id) != (built.image_id, built.engine_id):
        return f"the report is for image {image_id} ({engine_id}), not for {built.image_id}"
    return results.incomplete(run)
