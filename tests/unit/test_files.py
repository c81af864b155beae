"""Users without a home folder and checkouts without git: one sentence, before any work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker_images import files
from worker_images.errors import EngineError
from worker_images.files import ROOT

# build.py's command of a user whom no passwd entry names.
NAMELESS = f"""
import pwd, sys
from pathlib import Path
def none(_): raise KeyError
pwd.getpwuid = none
sys.path.insert(0, {str(ROOT)!r})
from worker_images.cli.main import main
raise SystemExit(main(sys.argv[1:], Path({str(ROOT)!r})))
"""


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command of such a user, with nothing but these settings."""
    command = [sys.executable, "-c", NAMELESS, *words]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--variant", "slim"],
        ["--variant", "slim", "--tag", "x:y"],
        ["engine", "env"],
        ["lock"],
        ["fetch", "--into", "x"],
    ],
)
def test_a_user_without_a_home_folder_is_told_of_the_cache(words: list[str]) -> None:
    """Exit 4 in one sentence, before anything is fetched or asked."""
    done = run(*words, DOCKER_HOST="unix:///proc/none.sock")
    said = f"build.py: HOME is not set and user {os.getuid()} has no passwd entry, "
    said += "so there is no place for the cache; set XDG_CACHE_HOME"
    assert (done.returncode, done.stdout, done.stderr) == (4, "", f"{said} to a folder of yours\n")


def test_a_user_without_a_home_folder_can_read_and_name_a_cache(tmp_path: Path) -> None:
    """What needs no cache goes on, and so does all else with one."""
    assert run("--variant", "slim", "--print", "plan").returncode == 0
    engine = f"unix://{tmp_path}/none.sock"
    named = run("engine", "status", XDG_CACHE_HOME=str(tmp_path), DOCKER_HOST=engine)
    assert "DOCKER_HOST" in named.stderr


def test_a_home_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Also to root, who could make one where nobody looks for it."""
    done = run(
        "--variant",
        "slim",
        "--tag",
        "x:y",
        HOME=str(tmp_path / "none"),
        DOCKER_HOST=f"unix://{tmp_path}/none.sock",
    )
    assert done.returncode == 4
    assert (
        done.stderr
        == f"build.py: user {os.getuid()} cannot enter the home folder {tmp_path}/none; set"
        " XDG_CACHE_HOME to a folder of yours\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", ["", "cache", "cache/worker-images"])
def test_a_cache_that_cannot_be_written_is_named_before_any_work(
    made: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it is there or not; root may write almost anywhere, so the answer is a stand-in's."""
    (tmp_path / made).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache/worker-images")
    files.check_cache()
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and Path(path).exists())
    with pytest.raises(
        EngineError,
        match=rf"may not write to {tmp_path / made}, where .*; set XDG_CACHE_HOME to a folder",
    ):
        files.check_cache()
    assert sorted(tmp_path.rglob("*")) == before
