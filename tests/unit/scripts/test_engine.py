"""scripts/engine in real namespaces: who reaps, where layers are shared, which cgroup is moved."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.files import ENGINE, ROOT
from worker_images.model.results import NOT_RUN_PREFIX

SCRIPT = ROOT / "scripts" / "engine"
RUNS = 5
SETTLE_SECONDS = 10
# A program and what it is linked with: the smallest image that runs.
PROGRAM = ("bin/true", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6")
# The topmost cgroup of a container, as files, and a process that believes to be in it.
CONTAINER = """
set -e
mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup
for file in cgroup.type cgroup.procs cgroup.controllers cgroup.subtree_control; do : >$file; done
echo "cpu memory" >cgroup.controllers
echo 4242 >cgroup.procs
echo "$1" >"$2/own"
[ "$3" = container ] || rm cgroup.type
sh -c 'mount --bind "$1/own" "/proc/$$/cgroup"; exec "$0" start "$1"' "$4" "$2" || true
cat cgroup.subtree_control init/cgroup.procs
"""


@pytest.fixture(autouse=True)
def root() -> None:
    """Namespaces and mounts are root's."""
    tried = ["unshare", "--mount", "--net", "true"]
    if os.geteuid() or subprocess.run(tried, check=False).returncode:
        pytest.skip(f"{NOT_RUN_PREFIX}mounts need root with CAP_SYS_ADMIN")


@dataclass(frozen=True)
class Engine:
    """A private engine that only its tests reach, in a network namespace without a route."""

    state: Path
    network: str
    programs: Path

    def run(self, *command: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """A command in the engine's network namespace, where its bridge is."""
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        command = ("nsenter", f"--net={self.network}", *command)
        return subprocess.run(
            command, env=environment, capture_output=True, check=False, input=given
        )

    def docker(self, *words: str, given: bytes = b"") -> None:
        """The engine's own client."""
        done = self.run(
            str(self.state / "root/usr/bin/docker"),
            "--host",
            f"unix://{self.state}/docker.sock",
            *words,
            given=given,
        )
        assert done.returncode == 0, done.stderr.decode()

    @property
    def init(self) -> str:
        """PID 1 of the engine's namespace, by its number here."""
        outer = (self.state / "pid").read_text().strip()
        return Path(f"/proc/{outer}/task/{outer}/children").read_text().strip()

    def zombies(self) -> int:
        """How many of its orphans are dead and not reaped."""
        found = [_state(process) for process in Path("/proc").glob("[0-9]*")]
        return found.count(("Z", self.init))


def _state(process: Path) -> tuple[str, str]:
    """A process's state and parent; empty for one that has ended."""
    with contextlib.suppress(OSError):
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        return state, parent
    return "", ""


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Engine]:
    """The private engine's programs with a state of their own; the machine's own is not touched.

    The command pivot_root, which Debian 14 does not have, does nothing here.
    """
    if not (ENGINE / "root/usr/sbin/dockerd").exists():
        pytest.skip(
            f"{NOT_RUN_PREFIX}this machine has no private engine; run: ./build.py engine start"
        )
    state = tmp_path / "e"
    state.mkdir()
    (state / "root").symlink_to(ENGINE / "root")
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


def image() -> bytes:
    """The archive of an image with one program."""
    command = ["tar", "-C", "/", "--dereference", "-c", *PROGRAM]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_engine_reaps_what_containers_leave(private: Engine) -> None:
    """A container leaves a shim whose parent is gone: PID 1 reaps it, and dockerd ends well."""
    private.docker("import", "-", "small:1", given=image())
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


@pytest.mark.parametrize(("below", "layers"), [("tmpfs", "overlayfs"), ("overlay", "native")])
def test_layers_are_copied_where_overlays_do_not_stand(
    below: str,
    layers: str,
    tmp_path: Path,
) -> None:
    """A container's own disk is an overlay, which carries no other one's changes."""
    for name in ("lower", "disk", "state"):
        (tmp_path / name).mkdir()
    options = {
        "tmpfs": "mode=755",
        "overlay": "lowerdir=lower,upperdir=disk/upper,workdir=disk/work",
    }[below]
    made = "mount -t tmpfs tmpfs disk && mkdir disk/upper disk/work"
    program = f'{made} && mount -t {below} {below} -o {options} state && "$0" layers state'
    found = subprocess.run(
        ["unshare", "--mount", "sh", "-c", program, str(SCRIPT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.stderr) == (f"{layers}\n", "")
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize(
    ("own", "kind", "enabled", "moved"),
    [
        ("0::/", "container", "+cpu +memory\n", "4242\n"),
        ("0::/", "machine", "", ""),
        ("0::/user.slice/session-1.scope", "container", "", ""),
        ("9:memory:/", "container", "", ""),
    ],
)
def test_processes_move_only_in_a_containers_topmost_cgroup(
    own: str,
    kind: str,
    enabled: str,
    moved: str,
    tmp_path: Path,
) -> None:
    """A machine's topmost cgroup, systemd's and cgroup v1 are left as they are."""
    dockerd = tmp_path / "root/usr/sbin/dockerd"
    dockerd.parent.mkdir(parents=True)
    shutil.copy("/bin/true", dockerd)
    command = [
        "unshare",
        "--mount",
        "--net",
        "sh",
        "-c",
        CONTAINER,
        "sh",
        own,
        str(tmp_path),
        kind,
        str(SCRIPT),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == enabled + moved, found.stderr
