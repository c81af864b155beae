"""pytest options that every layer shares, and what a check says that the machine cannot run: no
more than pytest is needed.
"""

import errno
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest

from worker_images.model.results import NOT_RUN_PREFIX

LAYERS = ("image", "ledger", "workload", "engines")
# The exit code of a run that the machine ended.
MACHINE = 4
FULL = {errno.ENOSPC, errno.EDQUOT}
LIMITED = {
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EIO,
    errno.EROFS,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is judged, and what must not be left out."""
    group = parser.getgroup("worker images")
    group.addoption("--variant", help="the variant that the image claims to be")
    group.addoption(
        "--image",
        metavar="REF|FILE",
        help="an image in the engine, or an image archive; default: out/VARIANT/image.tar",
    )
    group.addoption(
        "--require",
        action="append",
        default=[],
        choices=LAYERS,
        help="a check of this layer that the machine cannot run is a failure",
    )
    group.addoption(
        "--driver",
        action="append",
        default=[],
        metavar="VERSION",
        help="a driver of nodes that the image must serve; may be repeated",
    )
    _add_workload(parser)


def _add_workload(parser: pytest.Parser) -> None:
    group = parser.getgroup("worker images, the workload layer")
    places = ("unpacked", "engine")
    group.addoption(
        "--place",
        default="unpacked",
        choices=places,
        help="where the image's runsc runs; default: its unpacked root",
    )
    group.addoption(
        "--python",
        default=shutil.which("python3"),
        help="the user's python, with torch for all checks; default: that on PATH",
    )
    group.addoption(
        "--other-runsc",
        type=Path,
        help="an older runsc, whose list lacks the node's driver, for the negative controls",
    )


def not_run(config: pytest.Config, layer: str, reason: str) -> NoReturn:
    """End a check that this machine cannot run: reported with its reason, a failure where its layer
    is required.
    """
    if layer in config.getoption("require"):
        pytest.fail(f"required, and not run: {reason}")
    pytest.skip(f"{NOT_RUN_PREFIX}{reason}")


def pytest_exception_interact(call: pytest.CallInfo[None]) -> None:
    """A full disk or a limit of the machine says nothing about an image: end the run, and name
    it.
    """
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, OSError) and error.errno in FULL:
        folder = error.filename or tempfile.gettempdir()
        fix = "layers are unpacked there: set TMPDIR to a folder with 2 GB free"
        pytest.exit(f"{folder}: {error.strerror}; {fix}", returncode=MACHINE)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in LIMITED):
        pytest.exit(
            f"this machine: {error!r}; see: ulimit -a, and free memory or disks", returncode=MACHINE
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what did not run, a line for each reason."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    for reason, count in Counter(skipped).items():
        terminalreporter.write_line(
            f"{reason.removeprefix('Skipped: ')} ({count} {'check' if count == 1 else 'checks'})"
        )
