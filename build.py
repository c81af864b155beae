#!/usr/bin/env python3
"""Entry point: run the image build inside the project's virtual environment."""

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
    """Exit 2 under a Python that the packages are too new for.

    This file must be understood by every Python 3.
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"build.py needs Python 3.11 or later; this is {found}; put a later python3 first on"
            " PATH and run: make setup",
            file=sys.stderr,
        )
        raise SystemExit(2)


def enter_environment() -> None:
    """Replace this process by the same command under .venv; exit 2 where there is none."""
    if Path(sys.prefix) == ROOT / ".venv" and sys.flags.isolated:
        os.environ.pop(ENTERED, None)
        check_python()
        # Of the checkout this package alone: a file beside it must not stand in for a module.
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
    # No module and no setting of the caller's environment decides what is built; every text is
    # UTF-8.
    words = [str(PYTHON), "-I", "-X", "utf8", str(ROOT / "build.py"), *sys.argv[1:]]
    os.execv(PYTHON, words)  # noqa: S606 - no shell is wanted


def _open_standard_streams() -> None:
    """Give a process that was started without some of them all three: the first file that it opens
    would be one.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= STANDARD_ERROR:
        os.set_inheritable(opened, True)
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def interrupt(*_: object) -> None:
    """Ctrl-C and a polite kill end alike: what is half done is cleaned up, also where a shell in
    the background ignores Ctrl-C.
    """
    raise KeyboardInterrupt


if __name__ == "__main__":
    enter_environment()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    from worker_images.cli.main import main

    status = main(sys.argv[1:], ROOT)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Python would try once more to write what is left, and end with another status.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(status)
