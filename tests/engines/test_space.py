"""The suite's own spaces: nothing that runs in one outlives it."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import suite
from tests.engines.foreign import Foreign
from tests.engines.miniature import Miniature
from tests.engines.space import Place, first, place, running, until
from tests.engines.suite import Parts
from worker_images.engine.daemon import address_of
from worker_images.engine.images import Images
from worker_images.errors import FetchError
from worker_images.files import ROOT

SECONDS = 20
STARTER = """
import signal, sys
from pathlib import Path
from tests.engines.space import Place, first, running, terminated
signal.signal(signal.SIGTERM, terminated)
# A shell's background jobs are started with this one ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
where = Place(Path(sys.argv[1]))
ready = where.state("starter") / "ready"
ready.unlink(missing_ok=True)
command = ["sh", "-c", f"sleep 1000 & echo > {ready}; sleep 1000"]
with running(where, "starter", command, ready.exists) as outer:
    print(outer, first(outer), flush=True)
    signal.pause()
"""


def descendants(number: int) -> Iterator[tuple[int, str]]:
    """The processes below one, each with its state."""
    for child in " ".join(
        path.read_text() for path in Path(f"/proc/{number}/task").glob("*/children")
    ).split():
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        yield int(child), state
        yield from descendants(int(child))


def zombies(outer: int) -> list[int]:
    """The processes of a space that ended and were not reaped."""
    try:
        return [number for number, state in descendants(outer) if state == "Z"]
    except (FileNotFoundError, ProcessLookupError):
        # One of them ended while it was looked at.
        return [0]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_space_ends_when_its_starter_ends(by: signal.Signals, where: Place) -> None:
    """Programs in a space end with the process that started them, however that ends."""
    command = [sys.executable, "-c", STARTER, str(where.folder)]
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
    until(
        lambda: not any(Path(f"/proc/{number}").exists() for number in numbers),
        SECONDS,
        "the space to end",
    )
    assert str(where.folder) not in Path("/proc/self/mounts").read_text()


def test_space_reaps_what_its_program_left(where: Place) -> None:
    """Processes that lost their parent are reaped when they end."""
    ended = where.state("orphans") / "ended"
    script = f'(sh -c \'sh -c "echo > {ended}" & sh -c "exit 0" &\' &); exec sleep 1000'
    with running(where, "orphans", ["sh", "-c", script], ended.exists) as outer:
        until(lambda: not zombies(outer), SECONDS, "orphans to be reaped")
        assert first(outer)


@pytest.mark.parametrize("name", ["docker", "classic", "podman"])
def test_engine_leaves_no_zombie_when_a_container_has_ended(
    name: str, at_home: Miniature, request: pytest.FixtureRequest
) -> None:
    """What an engine's containers leave behind is reaped, too."""
    engine: Foreign = request.getfixturevalue(name)
    images = Images(address_of(engine.settings["DOCKER_HOST"]))
    with images.container(images.load(at_home.archive)):
        assert len(list(descendants(engine.outer))) > 2
    until(lambda: not zombies(engine.outer), SECONDS, f"{name} to reap its processes")


def test_place_of_a_killed_run_is_removed_by_the_next() -> None:
    """A run removes the folders of runs that were killed, and leaves those of runs that go on."""
    # A short path, which sockets need.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "engines")
        (folder / "run-killed" / "root").mkdir(parents=True)
        with place(folder) as goes_on:
            with place(folder) as second:
                assert sorted(folder.iterdir()) == sorted([goes_on.folder, second.folder])
            assert list(folder.iterdir()) == [goes_on.folder]
        assert not folder.exists()


def test_suites_that_do_not_install_are_all_named(parts: Parts, tmp_path: Path) -> None:
    """Without a suite that installs, the reason names every suite that was tried."""
    with pytest.raises(FetchError, match=r"one-suite: .*; other-suite: "):
        suite.unpacked(("one-suite", "other-suite"), tmp_path / "root", parts, lambda _: None)
