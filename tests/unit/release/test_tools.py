"""The release tools run on amd64 alone, and end with the command."""

import signal
import subprocess
import threading

import pytest

from worker_images.build.machine import Machine
from worker_images.errors import EngineError
from worker_images.model.lock import Lock
from worker_images.model.project import Project
from worker_images.release import tools


def test_tools_are_refused_on_another_architecture(
    project: Project, locked: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = Machine("aarch64", debian=True, root=True)
    monkeypatch.setattr(Machine, "here", lambda: arm)
    with pytest.raises(EngineError, match="this machine is aarch64, but oras and cosign of"):
        tools.ensure(project, locked, lambda _: None)


def test_interrupt_while_the_watch_starts_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the command would wait for the program until it stalls."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    running = threading.active_count()
    with subprocess.Popen(["sleep", "600"]) as process:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        try:
            with pytest.raises(KeyboardInterrupt), tools._watched(process, 600):  # noqa: SLF001
                pytest.fail("it was not interrupted")
            assert process.wait(timeout=10) == -signal.SIGKILL
            assert threading.active_count() == running
        finally:
            process.kill()
