"""Programs that tests run as processes."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PYTEST = (sys.executable, "-m", "pytest", "-q")


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a program without input; return its exit status and what it printed."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
