"""Tests of a checkout, or of what travelled from it, by pytest as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Packages that travel with the suite to a node that has only Python.
SITE = "site"


def run(
    root: Path,
    tests: Sequence[str],
    options: Sequence[str],
    report: Path,
    output: IO[bytes] | None = None,
) -> int:
    """Run tests, write their JUnit file, and return pytest's own status."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    # A session of its own: Ctrl-C reaches it once, from here, so that it can take its containers
    # and device nodes away.
    with subprocess.Popen(
        _command(root, tests, options, report),
        cwd=root,
        env=_environment(root),
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
    own = root / ".venv/bin/python"
    return [
        str(own) if own.exists() else sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        *tests,
        # The older family of JUnit files is the one that holds what a check has seen.
        "--override-ini=junit_family=xunit1",
        f"--junit-xml={report}",
        *options,
    ]


def _environment(root: Path) -> dict[str, str]:
    """The caller's, without pytest settings and plugins of the caller's own."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    found["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    site = root / SITE
    if site.is_dir():
        paths = [str(site), str(root), found.get("PYTHONPATH", "")]
        found["PYTHONPATH"] = os.pathsep.join(paths)
    return found
