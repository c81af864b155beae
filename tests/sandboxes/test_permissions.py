"""What must a worker be allowed to do, and what is the error without it?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sandboxes.conftest import elsewhere
from tests.sandboxes.launcher import IGNORE, PRIVILEGED, Launcher, Sandbox, users_root
from tests.sandboxes.networks import Network
from tests.sandboxes.page import commands
from tests.sandboxes.places import EnginePlace, Place
from worker_images.model.capabilities import RUNSC
from worker_images.node.limits import Limits

GOFER = "cannot create gofer process: gofer: fork/exec /proc/self/exe: operation not permitted"
ROOT = "can't run sandbox process in minimal chroot since we don't have CAP_SYS_ADMIN"
SANDBOX = {"SYS_ADMIN": ROOT, "SETUID": GOFER, "SETGID": GOFER, "SETFCAP": GOFER}
READ_ONLY = "read-only file system"
LIMITED = Sandbox(limits=Limits(memory=256 << 20))


@pytest.fixture
def engine(place: Place) -> EnginePlace:
    """An engine, which starts workers with chosen capabilities."""
    if not isinstance(place, EnginePlace):
        elsewhere("a pod has the capabilities of its manifest; use an engine")
    return place


@contextmanager
def without(engine: EnginePlace, busybox: Path, capability: str) -> Iterator[Launcher]:
    """A launcher in a worker that lacks one capability."""
    rights = [name for name in RUNSC if name != capability]
    with engine.engine.worker(engine.images["slim"], rights) as worker:
        yield Launcher(worker, users_root(worker, busybox), PRIVILEGED)


@pytest.mark.parametrize("capability", SANDBOX)
def test_sandbox_needs_each_capability(engine: EnginePlace, busybox: Path, capability: str) -> None:
    """The other tests have all of them, and no more."""
    with without(engine, busybox, capability) as launcher:
        found = launcher.run("exit 0")
    assert found.status == 128
    assert SANDBOX[capability] in found.text


def test_network_needs_net_admin(engine: EnginePlace, busybox: Path) -> None:
    with without(engine, busybox, "NET_ADMIN") as launcher:
        found = launcher.worker.run(f"set -e\n{commands('Network')[1]}")
        rules = launcher.worker.run("iptables -t nat -L")
        assert launcher.run("exit 3").status == 3
    assert "RTNETLINK answers: Operation not permitted" in found.text
    assert "Permission denied (you must be root)" in rules.text


def test_network_needs_net_raw(engine: EnginePlace, busybox: Path) -> None:
    with without(engine, busybox, "NET_RAW") as launcher:
        found = launcher.run("exit 0", Network(launcher).namespace())
        assert launcher.run("exit 3").status == 3
    assert found.status == 128
    assert "unable to create raw socket: operation not permitted" in found.text


def test_limits_need_a_writable_control_group(engine: EnginePlace, busybox: Path) -> None:
    """The commands of the page make it writable."""
    with without(engine, busybox, "") as launcher:
        found = launcher.run("exit 0", LIMITED)
        launcher.worker(commands("Limits")[0])
        assert launcher.run("exit 3", LIMITED).status == 3
    assert found.status == 128
    assert READ_ONLY in found.text


def test_rootless_sandbox_ignores_limits_of_memory(unprivileged: Launcher) -> None:
    """Without --ignore-cgroups the debug log has a warning, and nothing else."""
    launcher = unprivileged
    job = launcher.bundle(
        "dd if=/dev/zero of=/dev/shm/file bs=1M count=96 && echo filled",
        Sandbox(limits=Limits(memory=64 << 20)),
    )
    run = launcher.command(job, "run").replace(IGNORE, f"--debug --debug-log={job.path}/log/", 1)
    found = launcher.worker.run(run)
    assert (found.status, found.output) == (0, b"filled\n")
    assert "Skipping cgroup" not in found.text
    log = launcher.worker(f"cat {job.path}/log/*.run.txt")
    assert "Skipping cgroup configuration in rootless mode" in log


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ip link add job-1 type veth peer name job-2", "Operation not permitted"),
        ("ip netns add job-1", "mkdir /run/netns failed: "),
        ("iptables -t nat -L", "Permission denied (you must be root)"),
        ("mkdir /sys/fs/cgroup/memory/job-1 || mkdir /sys/fs/cgroup/job-1", "Read-only file"),
    ],
)
def test_worker_without_capabilities_is_refused(
    unprivileged: Launcher, command: str, message: str
) -> None:
    found = unprivileged.worker.run(command)
    assert found.status != 0
    assert message in found.text
