"""Does a sandbox leave nothing behind, also after its launcher was killed?"""

from collections import Counter

import pytest

from tests.sandboxes import inventory
from tests.sandboxes.launcher import UNPRIVILEGED, Bundle, Launcher, Sandbox
from tests.sandboxes.networks import FIRST, REMOVE, Network
from tests.sandboxes.scripts import WAIT
from worker_images.node.limits import Limits

# What a running sandbox adds to a worker; the control of each test.
ADDED = {"process", "state", "group", "interface", "namespace", "mount"}
LIMITS = Limits(memory=256 << 20, processes=50)


@pytest.fixture
def before(launcher: Launcher) -> Counter[str]:
    """What the worker has before the sandbox, with the mount that ip makes for namespaces."""
    if launcher.kind != UNPRIVILEGED:
        Network(launcher).namespace()
        launcher.worker(REMOVE, f"job-{FIRST}")
    return inventory.take(launcher)


@pytest.fixture
def job(launcher: Launcher, before: Counter[str]) -> Bundle:
    """A container that waits, with limits, and with a network where it can have one."""
    assert before
    is_root = launcher.kind != UNPRIVILEGED
    network = Network(launcher).namespace().network if is_root else "none"
    return launcher.bundle("echo ready; exec sleep 600", Sandbox(network, LIMITS))


def start(launcher: Launcher, job: Bundle) -> str:
    """Return the script that runs the job in the background, until it is ready."""
    return f"""{WAIT}
{launcher.command(job, "run")} < /dev/null > "$1/output" 2>&1 &
until_line "$1/output" ready
"""


def remove(launcher: Launcher, job: Bundle) -> None:
    """Remove a sandbox that has no launcher, as the page says."""
    names = launcher.command(job, "list", options=["--quiet"])
    assert launcher.worker(names).split() == [job.name]
    launcher.worker(launcher.command(job, "delete", options=["--force"]))
    assert launcher.worker(names) == ""
    launcher.worker(REMOVE, f"job-{FIRST}")


def added(launcher: Launcher) -> set[str]:
    """Return what a running sandbox of the launcher adds to a worker."""
    return ADDED if launcher.kind != UNPRIVILEGED else {"process", "state"}


def test_nothing_stays_after_the_end(launcher: Launcher, before: Counter[str], job: Bundle) -> None:
    """While the sandbox runs, all kinds of things are there."""
    script = f"""{start(launcher, job)}
{inventory.SCRIPT.replace("$1", launcher.state)}
{launcher.command(job, "kill", "KILL")}
! wait $!"""
    during = Counter(launcher.worker(script, job.path).splitlines())
    assert inventory.kinds(during, before) == added(launcher)
    launcher.worker(REMOVE, f"job-{FIRST}")
    assert not inventory.settled(launcher, before)


def test_nothing_stays_after_the_runtime_was_killed(
    launcher: Launcher, before: Counter[str], job: Bundle
) -> None:
    """A killed runsc leaves its state; its sandbox ends with it, and runc's container goes on."""
    script = f"""{start(launcher, job)}
kill -KILL $!
wait $!"""
    assert launcher.worker.run(script, job.path).status == 137
    assert inventory.take(launcher) - before
    remove(launcher, job)
    assert not inventory.settled(launcher, before)


def test_nothing_stays_after_the_launcher_was_killed(
    launcher: Launcher, before: Counter[str], job: Bundle
) -> None:
    """The sandbox goes on until it is deleted."""
    script = f"""{WAIT}
sh -c '{launcher.command(job, "run")} & wait' < /dev/null > "$1/output" 2>&1 &
until_line "$1/output" ready
kill -KILL $!
! wait $!
{launcher.command(job, "state")} | grep '"status": "running"'"""
    launcher.worker(script, job.path)
    assert {"process", "state"} <= inventory.kinds(inventory.take(launcher), before)
    remove(launcher, job)
    assert not inventory.settled(launcher, before)
