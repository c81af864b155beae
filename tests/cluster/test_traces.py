"""Is nothing left of a cluster that ended, failed to start or was interrupted?"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cluster.suite import ONE_GPU
from tests.support.kubernetes import manifest_digest
from worker_images.build.go_programs import Parts
from worker_images.cluster import settings
from worker_images.cluster.cluster import IMAGE, Cluster
from worker_images.console import print_progress
from worker_images.errors import EngineError, UsageError
from worker_images.files import ROOT

CGROUPS = Path("/sys/fs/cgroup")
# Files of the next start, which hold no process, mount or interface.
KEPT = {".lock", "etc", "lock", "log", "logs", "pause.tar", "programs", "root"}
START = """\
import sys
from pathlib import Path
from tests.cluster.suite import ONE_GPU
from worker_images.build.go_programs import Parts
from worker_images.cluster.cluster import Cluster
from worker_images.files import ROOT
own = Cluster(ROOT, Path(sys.argv[1]))
own.start(Parts.of(ROOT), lambda text: print(text, flush=True), ONE_GPU)
"""


@dataclass(frozen=True)
class Own:
    """A second cluster, beside the one that other tests use, and what there was before it."""

    cluster: Cluster
    before: frozenset[str]

    @property
    def traces(self) -> set[str]:
        """What is left of the cluster on this machine."""
        state = self.cluster.state
        found = machine() - self.before
        found |= {each for each in commands() if str(state) in each}
        return found | {path.name for path in state.iterdir()} - KEPT


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """A second cluster, which is stopped at the end."""
    found = Own(Cluster(ROOT, tmp_path / "cluster"), frozenset(machine()))
    yield found
    found.cluster.stop()


def machine() -> set[str]:
    """The control groups and interfaces of clusters."""
    groups = {str(path) for path in CGROUPS.glob("**/worker-images-*")}
    return groups | {path.name for path in Path("/sys/class/net").glob("wimk*")}


def commands() -> list[str]:
    """The command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            # It ended meanwhile.
            continue
    return lines


def test_stop_leaves_nothing(own: Own) -> None:
    own.cluster.start(Parts.of(ROOT), print_progress, ONE_GPU)
    assert len(own.traces) > 3
    own.cluster.stop()
    assert own.traces == set()
    # A second stop does not touch a cluster that has taken the name of the interface.
    assert not (own.cluster.state / "link").exists()


def test_second_start_keeps_the_node_and_imports_what_it_lacks(cluster: Cluster) -> None:
    """An image that was built later is imported; the objects of the node stay."""
    before = cluster.get("node", "node1")["metadata"]["uid"]
    images = ["ctr", "--namespace=k8s.io", "images"]
    name = f"{IMAGE}@{manifest_digest('slim')}"
    cluster.exec([*images, "delete", name])
    cluster.start(Parts.of(ROOT), print_progress, ONE_GPU)
    assert cluster.get("node", "node1")["metadata"]["uid"] == before
    assert name in cluster.exec([*images, "list", "--quiet"]).split()


def test_program_that_does_not_start_is_named(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the program's own message, and nothing is left."""
    monkeypatch.setattr(settings, "CONTAINERD", "version = none\n")
    with pytest.raises(EngineError, match="containerd ended with exit status 1"):
        own.cluster.start(Parts.of(ROOT), print_progress, ONE_GPU)
    assert own.traces == set()


def started(own: Own, sign: signal.Signals) -> int:
    """Start the cluster, send a signal in the middle, and return the exit status."""
    command = [sys.executable, "-c", START, str(own.cluster.state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        sent = False
        for line in process.stdout:
            if "importing" in line and not sent:
                process.send_signal(sign)
                sent = True
    assert sent
    return process.returncode


def test_interrupt_while_starting_leaves_nothing(own: Own) -> None:
    assert started(own, signal.SIGINT) != 0
    assert own.traces == set()


def test_start_after_a_killed_start_is_complete(own: Own) -> None:
    """The half-started node is ended, and a new one has the images."""
    assert started(own, signal.SIGKILL) == -signal.SIGKILL
    assert own.cluster.running
    own.cluster.start(Parts.of(ROOT), print_progress, ONE_GPU)
    listed = own.cluster.exec(["ctr", "--namespace=k8s.io", "images", "list", "--quiet"])
    assert f"{IMAGE}@{manifest_digest('full')}" in listed.split()


def test_running_node_of_another_driver_is_refused(cluster: Cluster) -> None:
    """A second start would keep the node, and with it the driver."""
    with pytest.raises(UsageError, match=r"to start one with 550.54.14, run first: \./build.py"):
        cluster.start(Parts.of(ROOT), print_progress, replace(ONE_GPU, driver="550.54.14"))
