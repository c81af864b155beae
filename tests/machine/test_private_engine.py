"""Does the private engine reap processes, and shut down cleanly?"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from worker_images.files import ENGINE, ROOT
from worker_images.model.results import NOT_RUN_PREFIX

SCRIPT = ROOT / "scripts" / "engine"
RUNS = 5
SETTLE_SECONDS = 10
# A program and its libraries: the smallest image that runs.
PROGRAM = ("bin/true", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6")


@pytest.fixture(autouse=True)
def root() -> None:
    """Namespaces and mounts need root."""
    command = ["unshare", "--mount", "--net", "true"]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip(f"{NOT_RUN_PREFIX}mounts need root with CAP_SYS_ADMIN")


@dataclass(frozen=True)
class Engine:
    """A private engine for tests, in a network namespace without a route."""

    state: Path
    network: str
    programs: Path

    def run(self, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Run a command in the engine's network namespace."""
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        command = ("nsenter", f"--net={self.network}", *command)
        return subprocess.run(
            command, env=environment, capture_output=True, check=False, input=stdin
        )

    def docker(self, *arguments: str, stdin: bytes = b"") -> None:
        """Run the engine's docker client; it must succeed."""
        result = self.run(
            str(self.state / "root/usr/bin/docker"),
            "--host",
            f"unix://{self.state}/docker.sock",
            *arguments,
            stdin=stdin,
        )
        assert result.returncode == 0, result.stderr.decode()

    def ip(self, *arguments: str) -> str:
        """Run the engine's command ip; it must succeed."""
        done = self.run("chroot", str(self.state / "root"), "ip", *arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    @property
    def bridge(self) -> str:
        """The name of the engine's bridge."""
        return (self.state / "bridge").read_text().strip()

    @property
    def init(self) -> str:
        """The PID outside of the engine's namespace of its PID 1."""
        outer = (self.state / "pid").read_text().strip()
        return Path(f"/proc/{outer}/task/{outer}/children").read_text().strip()

    def zombies(self) -> int:
        """Return how many children of the engine's PID 1 are zombies."""
        found = [_state(process) for process in Path("/proc").glob("[0-9]*")]
        return found.count(("Z", self.init))


def _state(process: Path) -> tuple[str, str]:
    """Return a process's state and parent; empty for one that has ended."""
    with contextlib.suppress(OSError):
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        return state, parent
    return "", ""


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Engine]:
    """A second private engine with its own state folder; the machine's engine is not changed.

    The command pivot_root always fails, because Debian 14 does not have it.
    """
    if not (ENGINE / "root/usr/sbin/dockerd").exists():
        pytest.skip(
            f"{NOT_RUN_PREFIX}this machine has no private engine; run: ./build.py engine start"
        )
    state = folder(tmp_path / "e")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/pivot_root").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "programs/pivot_root").chmod(0o755)
    with subprocess.Popen(["unshare", "--net", "sleep", "600"]) as holder:
        network = Path(f"/proc/{holder.pid}/ns/net")
        while network.readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.01)
        engine = Engine(state, str(network), tmp_path / "programs")
        started = engine.run(str(SCRIPT), "start", str(state))
        try:
            assert started.returncode == 0, started.stderr.decode()
            yield engine
        finally:
            engine.run(str(SCRIPT), "stop", str(state))
            holder.terminate()


def folder(state: Path) -> Path:
    """Make the folder of an engine, with the root filesystem of the machine's."""
    state.mkdir()
    (state / "root").symlink_to(ENGINE / "root")
    return state


def image() -> bytes:
    """Return the archive of an image with one program."""
    command = ["tar", "-C", "/", "--dereference", "-c", *PROGRAM]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_engine_reaps_processes_of_ended_containers(private: Engine) -> None:
    """PID 1 reaps the shims that containers leave, and dockerd shuts down cleanly."""
    private.docker("import", "-", "small:1", stdin=image())
    for _ in range(RUNS):
        private.docker("run", "--rm", "--network=none", "small:1", "/bin/true")
    deadline = time.monotonic() + SETTLE_SECONDS
    while private.zombies() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert private.zombies() == 0
    init = Path("/proc", private.init)
    stopped = private.run(str(SCRIPT), "stop", str(private.state))
    assert stopped.returncode == 0, stopped.stderr.decode()
    assert _state(init)[0] in {"", "Z"}
    assert "Daemon shutdown complete" in (private.state / "log").read_text()


def test_bridge_keeps_its_mac_address_when_a_container_ends(private: Engine) -> None:
    """A container that ends does not cut off the network of the others."""
    before = private.ip("link", "show", private.bridge)
    lowest = ("address", "02:00:00:00:00:01")
    private.ip("link", "add", "container", *lowest, "type", "veth", "peer", "name", "inside")
    private.ip("link", "set", "container", "up", "master", private.bridge)
    assert address(private.ip("link", "show", private.bridge)) == address(before)


@pytest.mark.parametrize("dead", [True, False])
def test_engine_takes_only_the_bridge_of_an_engine_that_does_not_run(
    private: Engine, tmp_path: Path, dead: bool
) -> None:
    """A killed engine leaves its bridge; without one of those, ten bridges are the limit."""
    assert f"alias {private.state}/docker.sock" in private.ip("link", "show", private.bridge)
    others = sorted({f"wimg{number}" for number in range(10)} - {private.bridge})
    for name in others:
        private.ip("link", "add", name, "type", "bridge")
    if dead:
        private.ip("link", "set", others[4], "alias", "/killed/docker.sock")
    second = replace(private, state=folder(tmp_path / "f"))
    try:
        started = private.run(str(SCRIPT), "start", str(second.state))
        if dead:
            assert started.returncode == 0, started.stderr.decode()
            assert second.bridge == others[4]
        else:
            assert b"no free bridge in wimg0..wimg9" in started.stderr
        for name in (private.bridge, *others):
            private.ip("link", "show", name)
    finally:
        private.run(str(SCRIPT), "stop", str(second.state))


def address(shown: str) -> str:
    """Return the MAC address that `ip link show` prints."""
    words = shown.split()
    return words[words.index("link/ether") + 1]
