"""Engines behind ssh."""

import os
import sys
from pathlib import Path

import pytest

from tests.support import engines
from worker_images.engine import sdk, ssh
from worker_images.engine.daemon import Address
from worker_images.engine.sdk import Daemon
from worker_images.errors import EngineError

DOCKER = Daemon("Docker", "28.5.2", containerd_store=True)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ssh://engine", ["ssh", "-T"]),
        ("ssh://user@engine", ["ssh", "-l", "user", "-T"]),
        ("ssh://user@engine:2222", ["ssh", "-l", "user", "-p", "2222", "-T"]),
    ],
)
def test_ssh_leaves_to_its_configuration_what_the_address_does_not_name(
    host: str, words: list[str]
) -> None:
    command = ssh.command(host)
    assert command[: len(words)] == words
    assert command[-5:] == ["--", "engine", "docker", "system", "dial-stdio"]


# What `docker system dial-stdio` does: standard input and output are a connection to the engine.
DIAL = """#!{python}
import os, socket, threading
channel = socket.socket(socket.AF_UNIX)
channel.connect({path!r})
def send():
    while data := os.read(0, 65536):
        channel.sendall(data)
    channel.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := channel.recv(65536):
    os.write(1, data)
"""


def test_engine_behind_ssh_is_reached(
    loopback: engines.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for ssh, which connects to the loopback engine."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(
        DIAL.format(python=sys.executable, path=loopback.host.removeprefix("unix://"))
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert sdk.describe(Address("ssh://engine")) == DOCKER
    assert "GET /info" in loopback.requests


def test_missing_ssh_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        EngineError, match="ssh://engine is reached by the ssh command, which is not here"
    ):
        sdk.describe(Address("ssh://engine"))
