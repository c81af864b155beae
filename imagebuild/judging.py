"""The judge as a process of its own, which imports nothing of this one's choices."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from imagebuild.errors import JudgeError
from imagebuild.record import Record
from imagebuild.work import Work


def judge(work: Work, made: Record, archive: Path) -> None:
    """Have an archive judged; raises JudgeError with what was said, and forgets the image."""
    work.tell(f"judging {made.digest}")
    log = work.out / "judge.log"
    with log.open("wb") as file:
        passed = passes(work, archive, file)
    said = log.read_text(errors="replace").strip()
    if not passed:
        work.images.remove(made.engine_id)
        raise JudgeError(
            f"{said}\n\njudging {made.variant}: the image failed, so no tag moved; it is kept at {archive}; what the judge said: {log}"
        )
    work.tell(f"judged: {said.splitlines()[-1].strip('= ')}")


def passes(work: Work, archive: Path, output: IO[bytes] | None = None) -> bool:
    """Run the image layer on an archive."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/image", "--variant", work.plan.variant, "--supply", work.plan.supply]
    command += ["--image", str(archive), "--versions", str(work.request.versions), "--junit-xml", str(work.out / "judge.xml")]
    # A session of its own: Ctrl-C reaches it once, from here, so that it can remove its containers in peace.
    environment, nothing = work.endpoint.environment, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=work.root, env=environment, stdin=nothing, stdout=output, stderr=output, start_new_session=True
    ) as process:
        try:
            return process.wait() == 0
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
