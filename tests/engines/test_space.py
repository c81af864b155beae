"""Namespaces of the suite: no process outlives its starter."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import suite
from tests.engines.engines import RunningEngine
from tests.engines.miniature import Miniature
from tests.engines.space import RunFolder, inner_pid, new_run_folder, running, wait_until
from worker_images.build.go_programs import Parts
from worker_images.engine.daemon import address_of
from worker_images.engine.images import Images
from worker_images.errors import FetchError
from worker_images.files import ROOT

SECONDS = 20
STARTER = """
import signal, sys
from pathlib import Path
from tests.engines.space import RunFolder, inner_pid, interrupt, running
signal.signal(signal.SIGTERM, interrupt)
# A shell starts background jobs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
run_folder = RunFolder(Path(sys.argv[1]))
ready = run_folder.state("starter") / "ready"
ready.unlink(missing_ok=True)
command = ["sh", "-c", f"sleep 1000 & echo > {ready}; sleep 1000"]
with running(run_folder, "starter", command, ready.exists) as outer:
    print(outer, inner_pid(outer), flush=True)
    signal.pause()
"""


def descendants(number: int) -> Iterator[tuple[int, str]]:
    """Yield the descendants of a process, each with its state."""
    for child in " ".join(
        path.read_text() for path in Path(f"/proc/{number}/task").glob("*/children")
    ).split():
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        yield int(child), state
        yield from descendants(int(child))


def zombies(outer: int) -> list[int]:
    """Return the zombies among the descendants of a process."""
    try:
        return [number for number, state in descendants(outer) if state == "Z"]
    except (FileNotFoundError, ProcessLookupError):
        # A process ended during the search; search again.
        return [0]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_namespace_ends_when_its_starter_ends(by: signal.Signals, run_folder: RunFolder) -> None:
    """Programs in a namespace end with their starter, even when it is killed."""
    command = [sys.executable, "-c", STARTER, str(run_folder.folder)]
    starter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout
        numbers = [int(number) for number in starter.stdout.readline().split()]
        assert len(numbers) == 2
        starter.send_signal(by)
        starter.wait(SECONDS)
    finally:
        starter.kill()
        starter.communicate()
    wait_until(
        lambda: not any(Path(f"/proc/{number}").exists() for number in numbers),
        SECONDS,
        "the namespace to end",
    )
    assert str(run_folder.folder) not in Path("/proc/self/mounts").read_text()


def test_namespace_reaps_orphans(run_folder: RunFolder) -> None:
    """Orphaned processes are reaped when they end."""
    ended = run_folder.state("orphans") / "ended"
    script = f'(sh -c \'sh -c "echo > {ended}" & sh -c "exit 0" &\' &); exec sleep 1000'
    with running(run_folder, "orphans", ["sh", "-c", script], ended.exists) as outer:
        wait_until(lambda: not zombies(outer), SECONDS, "orphans to be reaped")
        assert inner_pid(outer)


@pytest.mark.parametrize("name", ["docker", "classic", "podman"])
def test_engine_leaves_no_zombie_when_a_container_ends(
    name: str, reference_image: Miniature, request: pytest.FixtureRequest
) -> None:
    """Processes that an engine's containers leave are reaped."""
    engine: RunningEngine = request.getfixturevalue(name)
    images = Images(address_of(engine.settings["DOCKER_HOST"]))
    with images.container(images.load(reference_image.archive)):
        assert len(list(descendants(engine.outer))) > 2
    wait_until(lambda: not zombies(engine.outer), SECONDS, f"{name} to reap its processes")


def test_folder_of_a_killed_run_is_removed_by_the_next_run() -> None:
    """A run removes the folders of killed runs and keeps those of current runs."""
    # Sockets need a short path.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "engines")
        (folder / "run-killed" / "root").mkdir(parents=True)
        with new_run_folder(folder) as current:
            with new_run_folder(folder) as second:
                assert sorted(folder.iterdir()) == sorted([current.folder, second.folder])
            assert list(folder.iterdir()) == [current.folder]
        assert not folder.exists()


def test_failed_suites_are_all_named(parts: Parts, tmp_path: Path) -> None:
    """If no suite installs, the error names every suite that was tried."""
    with pytest.raises(FetchError, match=r"one-suite: .*; other-suite: "):
        suite.unpack_first(("one-suite", "other-suite"), tmp_path / "root", parts, lambda _: None)
