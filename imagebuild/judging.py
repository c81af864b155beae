"""The judge as a process of its own, which imports nothing of this one's choices."""

import contextlib
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from imagebuild.buildx import ended
from imagebuild.errors import EngineError, JudgeError
from imagebuild.record import Record
from imagebuild.work import Work

REFUSED = 1
# With these words the judge says that the machine, not the image, is at fault.
NOT_RUN = "not run: "


@contextlib.contextmanager
def trial(work: Work, made: Record, archive: Path) -> Iterator[Callable[[], None]]:
    """A judge at work on an archive, for the block; what it yields waits for the verdict.

    Raises JudgeError where a check fails, EngineError where the judge could not finish.
    """
    work.tell(f"judging {made.variant} {made.digest}")
    log, report = work.out / "judge.log", work.out / "judge.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "tests/image", "--variant", work.plan.variant]
    command += ["--supply", work.plan.supply, "--arch", work.plan.architecture]
    command += ["--image", str(archive), "--versions", str(work.request.versions), "--junit-xml", str(report)]
    # The reader's own pytest settings have no say in the verdict.
    environment = {name: value for name, value in work.endpoint.environment.items() if not name.startswith(("PYTEST_", "WRITE_"))}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches it once, from here, so that it can remove its containers in peace.
        process = subprocess.Popen(
            command, cwd=work.root, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    with process, ended(process, signal.SIGINT):
        yield lambda: _verdict(work, made, process.wait(), f"it is kept at {archive}; what the judge said: {log}")


def _verdict(work: Work, made: Record, status: int, where: str) -> None:
    said = (work.out / "judge.log").read_text(errors="replace").strip()
    if status == REFUSED:
        with contextlib.suppress(EngineError):
            work.images.remove(made.engine_id)
        raise JudgeError(f"{said}\n\njudging {made.variant}: the image failed, so no tag moved; {where}")
    if status:
        raise EngineError(f"{said}\n\njudging {made.variant}: the judge could not finish, so no tag moved; {where}")
    count, reasons = counted(work.out / "judge.xml")
    if not count:
        raise JudgeError(f"judging {made.variant}: some checks did not run, so no tag moved; {where}")
    work.tell(f"judged {made.variant}: {count} checks passed{''.join(f'; not run: {reason}' for reason in reasons)}")


def counted(report: Path) -> tuple[int, list[str]]:
    """How many checks passed, 0 where any did not and gives no reason of the machine; and those reasons."""
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - pytest wrote it
    skips = [skip.get("message", "") for case in cases for skip in case.iter("skipped")]
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    if bad or any(not reason.startswith(NOT_RUN) for reason in skips):
        return 0, skips
    rows = Counter(reason.removeprefix(NOT_RUN) for reason in skips)
    return len(cases) - len(skips), [f"{reason} ({count} checks)" for reason, count in sorted(rows.items())]
