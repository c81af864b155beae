"""A session of sandboxes limits each call of runsc, and leaves no sandbox behind."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.fake_runsc import FakePlace
from worker_images.node import runsc
from worker_images.node.place import PlaceError
from worker_images.node.session import Session, opened

# Behaves as the folder's file says, and records its arguments.
RUNSC = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case " $* " in
  *" delete "*) exit 0 ;;
  *" checkpoint "*) exec sleep 60 ;;
  *) . "$(dirname "$0")/script" ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path) -> FakePlace:
    (tmp_path / "runsc").write_text(RUNSC)
    (tmp_path / "runsc").chmod(0o755)
    return FakePlace(tmp_path)


def session(fake: FakePlace, script: str) -> AbstractContextManager[Session]:
    (fake.folder / "script").write_text(script)
    return opened(fake, fake.folder)


def test_first_line_comes_with_the_time_since_the_call(fake: FakePlace) -> None:
    with session(fake, "echo 7; echo 8") as found:
        sandbox = found.start()
        line, seconds = sandbox.first_line()
        assert (line, sandbox.lines.rest(), sandbox.status()) == ("7", ["8"], 0)
        assert 0 < seconds < 60


def test_sandbox_without_output_has_the_message_of_runsc(fake: FakePlace) -> None:
    with session(fake, "echo refused >&2; exit 128") as found:
        sandbox = found.start()
        with pytest.raises(PlaceError, match="ended without output: refused"):
            sandbox.first_line()
        assert sandbox.status() == 128


def test_silent_sandbox_is_an_error_after_a_time(fake: FakePlace) -> None:
    with session(fake, "exec sleep 60") as found:
        sandbox = found.start()
        with pytest.raises(PlaceError, match=r"wrote no line in 0\.1 seconds"):
            sandbox.first_line(0.1)
        with pytest.raises(PlaceError, match=r"did not end in 0\.1 seconds"):
            sandbox.status(0.1)
    assert sandbox.call.returncode == -9
    assert fake.calls[-1].endswith(f"delete --force {sandbox.name}")


def test_checkpoint_that_does_not_end_is_killed_and_the_sandbox_deleted(fake: FakePlace) -> None:
    with session(fake, "echo 1") as found:
        sandbox = found.start()
        with pytest.raises(PlaceError, match=r"timed out after 0\.1 seconds"):
            found.save(sandbox, fake.folder / "image", "", seconds=0.1)
    assert (fake.folder / "image").stat().st_mode & 0o777 == 0o700
    assert fake.calls[-1].endswith(f"delete --force {sandbox.name}")


def test_every_sandbox_is_deleted_once(fake: FakePlace) -> None:
    with session(fake, "echo 1") as found:
        first = found.start()
        found.restore(fake.folder / "image")
        assert first.status() == 0
        found.end(first)
        found.end(first)
    deleted = [call for call in fake.calls if " delete " in call]
    assert len(deleted) == len({*deleted}) == 2


def test_restored_sandbox_takes_another_bundle_and_flags(fake: FakePlace) -> None:
    with session(fake, "echo 1") as found:
        image, other = fake.folder / "image", fake.folder / "other"
        assert found.restore(image, ["--background"], other, ["--debug"]).status() == 0
    (call,) = [each for each in fake.calls if " restore " in each]
    words = call.split()
    assert words.index("--debug") < words.index("restore") < words.index("--background")
    assert {f"--bundle={fake.folder}/other", f"--image-path={fake.folder}/image"} <= {*words}


def test_output_of_a_restored_sandbox_may_be_a_file(fake: FakePlace) -> None:
    path = fake.folder / "output"
    with session(fake, "echo 1") as found, path.open("wb") as output:
        assert found.restore(fake.folder / "image", output=output).status() == 0
    assert path.read_text() == "1\n"


def test_sandbox_that_runs_too_long_is_deleted(fake: FakePlace) -> None:
    (fake.folder / "script").write_text("exec sleep 60")
    with pytest.raises(PlaceError, match=r"timed out after 0\.5 seconds"):
        runsc.run_sandbox(fake, fake.folder, seconds=0.5)
    assert " delete --force worker-" in fake.calls[-1]
