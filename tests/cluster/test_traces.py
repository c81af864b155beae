"""Is nothing left of a cluster that ended, failed to start or was interrupted?"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker_images.build.go_programs import Parts
from worker_images.cluster import settings
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.console import print_progress
from worker_images.errors import EngineError
from worker_images.files import ROOT

CGROUPS = Path("/sys/fs/cgroup")
# Files of the next start, which hold no process, mount or interface.
KEPT = {".lock", "etc", "link", "lock", "log", "logs", "pause.tar", "programs", "root"}
START = """\
import sys
from pathlib import Path
from worker_images.build.go_programs import Parts
from worker_images.cluster.cluster import Cluster, of_machine
from worker_images.files import ROOT
own = Cluster(ROOT, Path(sys.argv[1]))
own.start(Parts.of(ROOT), lambda text: print(text, flush=True), of_machine())
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """A second cluster, beside the one that other tests use."""
    found = Cluster(ROOT, tmp_path / "cluster")
    yield found
    found.stop()


def traces(own: Cluster) -> set[str]:
    """What is left of a cluster on this machine."""
    link = (own.state / "link").read_text().split()[0]
    found = {str(path) for path in CGROUPS.glob(f"**/worker-images-{link}")}
    found |= {link} & {path.name for path in Path("/sys/class/net").iterdir()}
    mounts = Path("/proc/mounts").read_text().splitlines()
    found |= {line for line in mounts if str(own.state) in line}
    found |= {each for each in commands() if str(own.state) in each}
    return found | {path.name for path in own.state.iterdir()} - KEPT


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


def test_stop_leaves_nothing(own: Cluster) -> None:
    own.start(Parts.of(ROOT), print_progress, of_machine())
    assert len(traces(own)) > 3
    own.stop()
    assert traces(own) == set()


def test_second_start_changes_nothing(cluster: Cluster) -> None:
    """The running node stays, with its objects."""
    before = cluster.get("node", "node1")["metadata"]["uid"]
    cluster.start(Parts.of(ROOT), print_progress, of_machine())
    assert cluster.get("node", "node1")["metadata"]["uid"] == before


def test_program_that_does_not_start_is_named(
    own: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the program's own message, and nothing is left."""
    monkeypatch.setattr(settings, "CONTAINERD", "version = none\n")
    with pytest.raises(EngineError, match="containerd ended with exit status 1"):
        own.start(Parts.of(ROOT), print_progress, of_machine())
    assert traces(own) == set()


def test_interrupt_while_starting_leaves_nothing(own: Cluster) -> None:
    command = [sys.executable, "-c", START, str(own.state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "importing" in line:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
    assert process.returncode
    assert traces(own) == set()
