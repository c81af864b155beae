"""The tests of an image as a process of its own, which imports nothing of this one's choices."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker_images.build.record import Record
from worker_images.build.tars import cleared
from worker_images.build.work import BuildJob
from worker_images.engine.buildx import ended
from worker_images.errors import EngineError, JudgeError

PROGRAM = "worker_images/harness/isolated.py"
# With these words a check says that the machine, not the image, is at fault.
NOT_RUN = "not run: "
LAST_LINES = 5
# Less than this is a full disk, on which no report can be written.
LEAST_BYTES = 1 << 20
# pytest's status of a run that came to its end, in which a check failed.
FAILED = 1


@dataclass(frozen=True)
class Report:
    """What pytest wrote of one run: the image, which checks were collected, and what became of
    each.
    """

    image_id: str
    engine_id: str
    collected: frozenset[str]
    ran: frozenset[str]
    failed: tuple[str, ...]
    skipped: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "Report | None":
        """The report, None where pytest wrote none."""
        try:
            suite = ET.parse(path).getroot()  # noqa: S314 - pytest wrote it
        except (OSError, ET.ParseError):
            return None
        properties = {each.get("name"): each.get("value", "") for each in suite.iter("property")}
        cases = {
            f"{case.get('classname')}.{case.get('name')}": case for case in suite.iter("testcase")
        }
        skips = {name: case.find("skipped") for name, case in cases.items()}
        return cls(
            image_id=properties.get("image_id", ""),
            engine_id=properties.get("engine_id", ""),
            collected=frozenset(json.loads(properties.get("checks") or "[]")),
            ran=frozenset(cases),
            failed=tuple(name for name, case in cases.items() if _failed(case)),
            skipped={
                name: skip.get("message", "") for name, skip in skips.items() if skip is not None
            },
        )


def _failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


@contextlib.contextmanager
def trial(work: BuildJob, made: Record, archive: Path) -> Iterator[Callable[[], None]]:
    """The tests of an archive under way, for the block; what it yields waits for their end.

    Raises JudgeError where the report names a failed check, EngineError where it does not show that
    all passed.
    """
    work.tell(f"testing {made.variant} {made.image_id}")
    log, report, scratch = work.out / "judge.log", work.out / "judge.xml", cleared(work.out / "tmp")
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
    said = (work.out / "judge.log").read_text(errors="replace").strip()
    report = Report.read(work.out / "judge.xml")
    if report and report.failed and status == FAILED:
        with contextlib.suppress(EngineError):
            work.images.remove(made.engine_id)
        count = f"{len(report.failed)} {'check' if len(report.failed) == 1 else 'checks'}"
        raise JudgeError(f"{said}\n\n{made.variant} failed {count}; the tag is unchanged; {where}")
    if fault := _incomplete(report, made, status, said):
        # Whoever reads it later must not take it for results of the image.
        (work.out / "judge.xml").unlink(missing_ok=True)
        if shutil.disk_usage(work.out).free < LEAST_BYTES:
            raise EngineError(
                f"testing {made.variant}: {work.out}: no space left on device; free some space"
                " there and run again"
            )
        raise EngineError(f"testing {made.variant}: {fault}; the tag is unchanged; {where}")
    assert report
    rows = Counter(reason.removeprefix(NOT_RUN) for reason in report.skipped.values())
    reasons = "".join(
        f"; not run: {reason} ({count} checks)" for reason, count in sorted(rows.items())
    )
    work.tell(f"{made.variant} passed {len(report.ran) - len(report.skipped)} checks{reasons}")


def _incomplete(report: Report | None, made: Record, status: int, said: str) -> str:
    """Why a run without a failed check does not show that all passed; empty where it does."""
    if status or not report or report.failed:
        cause = os.linesep.join(said.splitlines()[-LAST_LINES:]) or "it wrote nothing"
        return f"the tests could not finish (status {status}): {cause}"
    if (report.image_id, report.engine_id) != (made.image_id, made.engine_id):
        return (
            f"the report is of image {report.image_id or 'unknown'} ({report.engine_id}), not of"
            f" {made.image_id}"
        )
    if not report.collected or report.ran != report.collected:
        missing = sorted(report.collected ^ report.ran)[:LAST_LINES]
        return f"{len(report.ran)} of {len(report.collected)} checks ran: {', '.join(missing)}"
    silent = [name for name, reason in report.skipped.items() if not reason.startswith(NOT_RUN)]
    return (
        f"skipped without a reason of the machine: {', '.join(silent[:LAST_LINES])}"
        if silent
        else ""
    )
