"""Testinfra backends that keep one shell open and raise an error when it ends.

Testinfra's own backends report a dead container as exit status 1, so that
`not host.exists("criu")` passes without a container. These raise TransportError. If a program of
the image is its cause, the check fails.
"""

import os
import subprocess
import time
from typing import Any

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

from worker_images.harness.open_shell import OpenShell, TransportError

DEFAULT_TIMEOUT_SECONDS = 60.0
ENGINE_TIMEOUT_SECONDS = 20
NOTICE_SECONDS = 2.0


class ShellBackend(BaseBackend):  # type: ignore[misc]
    """A testinfra backend that runs commands in one open shell."""

    NAME = "sh"
    HAS_RUN_SALT = False

    # The signature is testinfra's.
    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self.name, self.user = self.parse_containerspec(name)
        self.limit = float(kwargs.get("timeout") or DEFAULT_TIMEOUT_SECONDS)
        self.shell: OpenShell | None = None
        super().__init__(self.name, *args, **kwargs)

    def argv(self) -> list[str]:
        """Return the command that starts the shell, which reads standard input."""
        return ["/bin/sh"]

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:  # noqa: ANN401
        """Run a command in the shell, which the first call opens; raises TransportError."""
        if self.shell is None:
            self.shell = OpenShell(self.argv())
        data = os.fsencode(self.get_command(command, *args))
        status, output, errors = self.shell.run(data, self.limit)
        return self.result(status, data, output, errors)

    @property
    def lost(self) -> bool:
        """Whether an earlier command lost the shell."""
        return self.shell is not None and self.shell.input.closed

    def close(self) -> None:
        """Close the shell, if one was opened."""
        if self.shell is not None:
            self.shell.close()
            self.shell = None


class DockerShell(ShellBackend):
    """The backend dockersh://[USER@]CONTAINER, by the docker command in WORKER_DOCKER or PATH."""

    NAME = "dockersh"

    def argv(self) -> list[str]:
        user = ["--user", self.user] if self.user else []
        return [_docker(), "exec", "--interactive", *user, self.name, "/bin/sh"]

    def run(self, command: str, *args: str, **options: Any) -> CommandResult:  # noqa: ANN401
        """Run a command in the shell; raises TransportError, and fails for a fault of the image."""
        try:
            return super().run(command, *args, **options)
        except TransportError as error:
            if state := self._state():
                message = f"{error}; the container {state}: a program of the image is at fault"
                raise pytest.fail.Exception(message, pytrace=False) from error
            raise

    def _state(self) -> str:
        """What the engine reports about the container, which its own programs may have ended.

        Empty if the engine does not respond, or if another client ended the container.
        """
        # The engine notices the end of a container a little later than the shell.
        until = f"{time.time() + NOTICE_SECONDS:.9f}"
        filters = ("--filter", f"container={self.name}", "--filter", "event=kill")
        killed = _ask("events", "--since", "1h", "--until", until, *filters)
        state = "{{.State.Status}}, exit code {{.State.ExitCode}}"
        found = _ask("inspect", "--format", state, self.name)
        verb = "has" if found.startswith("exited") else "is"
        return "" if killed or not found else f"{verb} {found}"


def _docker() -> str:
    return os.environ.get("WORKER_DOCKER", "docker")


def _ask(*arguments: str) -> str:
    """The answer of the engine; empty if it gives none."""
    try:
        return subprocess.run(
            [_docker(), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=ENGINE_TIMEOUT_SECONDS,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def register() -> None:
    """Register the backends of this module for testinfra.get_host."""
    for backend in (ShellBackend, DockerShell):
        testinfra.backend.BACKENDS[backend.NAME] = f"{backend.__module__}.{backend.__qualname__}"
