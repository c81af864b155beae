"""The cache: a folder that cannot be written is an error before any work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import commands
from worker_images import files
from worker_images.errors import EngineError
from worker_images.files import ROOT

# The command of build.py for a user without a passwd entry.
PROGRAM = f"""
import pwd, sys
from pathlib import Path
def none(_): raise KeyError
pwd.getpwuid = none
sys.path.insert(0, {str(ROOT)!r})
from worker_images.cli.main import main
raise SystemExit(main(sys.argv[1:], Path({str(ROOT)!r})))
"""


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as such a user, with no other environment."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = {"PATH": os.environ["PATH"], **environment}
    return commands.run(command, env=environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--variant", "slim"],
        ["--variant", "slim", "--tag", "x:y"],
        ["engine", "env"],
        ["lock"],
        ["fetch", "--into", "x"],
    ],
)
def test_missing_home_folder_is_an_error_before_any_work(arguments: list[str]) -> None:
    done = run(*arguments, DOCKER_HOST="unix:///proc/none.sock")
    message = "build.py: no folder for the cache: HOME is not set and user"
    message += f" {os.getuid()} has no passwd entry; set XDG_CACHE_HOME to a folder of yours\n"
    assert (done.returncode, done.stdout, done.stderr) == (4, "", message)


def test_missing_home_folder_is_allowed_without_a_cache_or_with_another(tmp_path: Path) -> None:
    assert run("--variant", "slim", "--print", "plan").returncode == 0
    engine = f"unix://{tmp_path}/none.sock"
    named = run("engine", "status", XDG_CACHE_HOME=str(tmp_path), DOCKER_HOST=engine)
    assert "DOCKER_HOST" in named.stderr


def test_home_folder_that_does_not_exist_is_an_error_and_is_not_created(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("existing", ["", "cache", "cache/worker-images"])
def test_cache_that_cannot_be_written_is_an_error_and_is_not_changed(
    existing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """os.access is replaced, because root can write almost anywhere."""
    (tmp_path / existing).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache/worker-images")
    files.check_cache()
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and Path(path).exists())
    with pytest.raises(
        EngineError,
        match=rf"cannot write to {tmp_path / existing}, which .*; set XDG_CACHE_HOME to a folder",
    ):
        files.check_cache()
    assert sorted(tmp_path.rglob("*")) == before
