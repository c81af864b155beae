"""The tests of an image as a process of its own, which imports nothing of this one's choices."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from worker_images.build.record import Record
from worker_images.build.tars import cleared
from worker_images.build.work import BuildJob
from worker_images.engine.buildx import ended
from worker_images.errors import EngineError, FailedTestsError
from worker_images.model import results
from worker_images.model.results import NOT_RUN, UNEXPLAINED, Run

PROGRAM = "worker_images/harness/isolated.py"
LAST_LINES = 5
# Less than this is a full disk, on which no report can be written.
LEAST_BYTES = 1 << 20
# pytest's status of a run that came to its end, in which a check failed.
CHECKS_FAILED = 1


@contextlib.contextmanager
def trial(work: BuildJob, made: Record, archive: Path) -> Iterator[Callable[[], None]]:
    """The tests of an archive under way, for the block; what it yields waits for their end.

    Raises FailedTestsError where the report names a failed check, EngineError where it does not
    show that all passed.
    """
    work.progress(f"testing {made.variant} {made.image_id}")
    log, report, scratch = work.out / "image.log", work.out / "image.xml", cleared(work.out / "tmp")
    report.unlink(missing_ok=True)
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches it once, from here, so that it can remove its
        # containers in peace.
        process = subprocess.Popen(
            _command(work, archive, report),
            cwd=work.root,
            env=environment(work.endpoint.environment, scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with process, ended(process, signal.SIGINT):
            yield lambda: _verdict(
                work, made, process.wait(), f"the image is kept at {archive}; the whole log: {log}"
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _command(work: BuildJob, archive: Path, report: Path) -> list[str]:
    """pytest in isolation, on an archive."""
    program = [sys.executable, "-I", "-X", "utf8", str(work.root / PROGRAM), "-q"]
    options = {
        "--variant": work.plan.variant,
        "--source": work.plan.source,
        "--arch": work.plan.architecture,
        "--image": str(archive),
        "--versions": str(work.project.versions),
        "--junit-xml": str(report),
    }
    return [*program, *(word for option in options.items() for word in option)]


def environment(caller: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The caller's environment, without what could decide which checks run, and with room for
    unpacked layers.
    """
    kept = {
        name: value
        for name, value in caller.items()
        if not name.startswith(("PYTEST_", "PYTHON", "WRITE_"))
    }
    return kept | {"TMPDIR": str(scratch)}


def _verdict(work: BuildJob, made: Record, status: int, where: str) -> None:
    log = (work.out / "image.log").read_text(errors="replace").strip()
    run = _read(work.out / "image.xml")
    failed = run.with_outcome(results.FAILED) if run else ()
    if failed and status == CHECKS_FAILED:
        with contextlib.suppress(EngineError):
            work.images.remove(made.engine_id)
        count = f"{len(failed)} {'check' if len(failed) == 1 else 'checks'}"
        raise FailedTestsError(
            f"{log}\n\n{made.variant} failed {count}; the tag is unchanged; {where}"
        )
    if status or not run or failed:
        cause = os.linesep.join(log.splitlines()[-LAST_LINES:]) or "it wrote nothing"
        fault = f"the tests could not finish (status {status}): {cause}"
    else:
        fault = _incomplete(run, made)
    if fault:
        raise _unfinished(
            work, f"testing {made.variant}", f"{fault}; the tag is unchanged; {where}"
        )
    assert run
    work.progress(f"{made.variant} {_passed(run)}")


def _read(report: Path) -> Run | None:
    """The results, None where pytest wrote none."""
    try:
        return results.read(report)
    except (OSError, results.ResultsError):
        return None


def _unfinished(work: BuildJob, what: str, fault: str) -> EngineError:
    """The error of a run that shows nothing of the image; its results go."""
    (work.out / "image.xml").unlink(missing_ok=True)
    if shutil.disk_usage(work.out).free < LEAST_BYTES:
        fault = f"{work.out}: no space left on device; free some space there and run again"
    return EngineError(f"{what}: {fault}")


def _passed(run: Run) -> str:
    reasons = Counter(check.result.reason for check in run.with_outcome(NOT_RUN))
    words = f"passed {len(run.checks) - reasons.total()} checks"
    for reason, count in sorted(reasons.items()):
        words += f"; not run: {reason} ({count} checks)"
    return words


def _incomplete(run: Run, made: Record) -> str:
    """Why a run without a failed check does not show that all passed; empty where it does."""
    image_id = run.properties.get("image_id", "unknown")
    engine_id = run.properties.get("engine_id", "")
    if (image_id, engine_id) != (made.image_id, made.engine_id):
        return f"the report is of image {image_id} ({engine_id}), not of {made.image_id}"
    ran = {check.identity for check in run.checks}
    collected = {*json.loads(run.properties.get("checks", "[]"))}
    if not collected or ran != collected:
        missing = sorted(collected ^ ran)
        return f"{len(ran)} of {len(collected)} checks ran: {_first(missing)}"
    silent = [
        check.identity
        for check in run.with_outcome(NOT_RUN)
        if check.result.reason.startswith(UNEXPLAINED)
    ]
    return f"{UNEXPLAINED}{_first(silent)}" if silent else ""


def _first(names: list[str]) -> str:
    return ", ".join(names[:LAST_LINES])
