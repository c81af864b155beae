#!/usr/bin/env python3
"""Entry point: run worker_images inside the project's virtual environment."""

import os
import signal
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHON = ROOT / ".venv" / "bin" / "python"
ENTERED = "WORKER_IMAGES_ENTERED"
OLDEST = (3, 11)
STANDARD_ERROR = 2


def check_python() -> None:
    """Exit 2 if this Python is too old for the packages.

    This file must parse in every Python 3.
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"build.py needs Python 3.11 or later; found {found}; put a newer python3 first on PATH"
            " and run: make setup",
            file=sys.stderr,
        )
        raise SystemExit(2)


def enter_environment() -> None:
    """Run the same command again with .venv's Python; exit 2 if .venv is missing or broken."""
    if Path(sys.prefix) == ROOT / ".venv" and sys.flags.isolated:
        os.environ.pop(ENTERED, None)
        check_python()
        # Import only this package from the checkout: a file beside it must not shadow a module.
        package = types.ModuleType("worker_images")
        package.__path__ = [str(ROOT / "worker_images")]
        sys.modules["worker_images"] = package
        return
    if not os.access(PYTHON, os.X_OK):
        check_python()
        print(
            f"build.py: no virtual environment at {PYTHON.parent.parent}; run: make setup",
            file=sys.stderr,
        )
        raise SystemExit(2)
    if os.environ.get(ENTERED):
        print(
            f"build.py: {PYTHON.parent.parent} is broken; remove it and run: make setup",
            file=sys.stderr,
        )
        raise SystemExit(2)
    os.environ[ENTERED] = "1"
    _open_standard_streams()
    # Isolated: modules and settings of the caller's environment must not change the build.
    # All text is UTF-8.
    command = [str(PYTHON), "-I", "-X", "utf8", str(ROOT / "build.py"), *sys.argv[1:]]
    os.execv(PYTHON, command)  # noqa: S606 - no shell is needed


def _open_standard_streams() -> None:
    """Open the standard streams that are closed: the next file opened would take their number."""
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= STANDARD_ERROR:
        os.set_inheritable(opened, True)
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def interrupt(*_: object) -> None:
    """Handle SIGINT, SIGTERM and SIGHUP alike, so that partial results are cleaned up.

    Background jobs of a shell start with SIGINT ignored.
    """
    raise KeyboardInterrupt


if __name__ == "__main__":
    enter_environment()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    # nohup starts a command with SIGHUP ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
    from worker_images.cli.main import main

    status = main(sys.argv[1:], ROOT)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Without this, Python flushes again at exit, fails and changes the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(status)
