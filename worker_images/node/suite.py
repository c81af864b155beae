"""The workload layer on this machine, by pytest as it is here or as it travelled."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Packages that travel with the suite to a node that has only Python.
SITE = "site"


def test(root: Path, options: Sequence[str], report: Path) -> int:
    """Run tests/workload with pytest as it is here, or as it travelled, and return pytest's own
    status.
    """
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    # The older family of JUnit files is the one that holds what a check has seen.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "tests/workload",
        "-o",
        "junit_family=xunit1",
        "--junit-xml",
        str(report),
        *options,
    ]
    travelled = [str(root / SITE), str(root)] if (root / SITE).is_dir() else []
    # The reader's own pytest settings have no say in the verdict.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    if travelled:
        environment["PYTHONPATH"] = os.pathsep.join([*travelled, environment.get("PYTHONPATH", "")])
    # A session of its own: Ctrl-C reaches it once, from here, so that it can take its containers
    # and device nodes away.
    with subprocess.Popen(command, cwd=root, env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
