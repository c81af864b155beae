"""Runs tests of a checkout or of the GPU kit, with pytest in a separate process."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Packages that the GPU kit contains for a node that has only Python.
SITE = "site"
# pytest's exit status of a complete run: every test passed, or some failed.
COMPLETE = (0, 1)
# pytest cuts the reasons in its summary to the width of a terminal.
WIDTH = "2000"


def run(
    root: Path,
    tests: Sequence[str],
    options: Sequence[str],
    report: Path,
    output: IO[bytes] | None = None,
) -> int:
    """Run tests, write their JUnit file, and return pytest's exit status."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    # pytest gets its own session, so that Ctrl-C reaches it once, from here: it then removes its
    # containers and device nodes.
    with subprocess.Popen(
        _command(root, tests, options, report),
        cwd=root,
        env=_environment(root) | ({"COLUMNS": WIDTH} if output else {}),
        stdout=output,
        stderr=output,
        start_new_session=True,
    ) as process:
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def _command(root: Path, tests: Sequence[str], options: Sequence[str], report: Path) -> list[str]:
    python = root / ".venv/bin/python"
    return [
        str(python) if python.exists() else sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        *tests,
        # Only the older family of JUnit files records the properties of a test.
        "--override-ini=junit_family=xunit1",
        f"--junit-xml={report}",
        *options,
    ]


def _environment(root: Path) -> dict[str, str]:
    """Return the caller's environment without pytest settings, and with plugin loading disabled."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    site = root / SITE
    if site.is_dir():
        paths = [str(site), str(root), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
