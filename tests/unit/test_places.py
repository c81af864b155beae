"""Users without a home folder and checkouts without git: one sentence, before any work."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from worker_images import files
from worker_images.build import provision, record, work
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


def git(folder: Path, *words: str) -> str:
    identity = [
        f"-c{name}"
        for name in (
            "user.name=t",
            "user.email=t@t",
            "commit.gpgsign=false",
            "init.defaultBranch=main",
        )
    ]
    command = [
        "git",
        "-C",
        str(folder),
        *(word for pair in identity for word in (pair[:2], pair[2:])),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit, and an unpacked archive of a project in it."""
    try:
        git(tmp_path, "init")
    except FileNotFoundError:
        pytest.skip("not run: no git")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    (tmp_path / "unpacked").mkdir()
    return tmp_path


def test_revision_is_gits_name_of_the_checkout(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also from a hook of another repository, whose variables name that one."""
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    commit = git(clone, "--git-dir", str(clone / ".git"), "rev-parse", "HEAD")
    assert record.revision(clone) == commit
    (clone / "file").write_text("2")
    assert record.revision(clone) == f"{commit}-dirty"


def test_revision_is_unknown_in_an_unpacked_archive(clone: Path) -> None:
    """That of a repository around it is another project's."""
    assert record.revision(clone / "unpacked") == "unknown"


def test_revision_is_unknown_without_git(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone / "unpacked"))
    assert record.revision(clone) == "unknown"


@pytest.mark.parametrize(
    ("revision", "said"),
    [("unknown", ["revision unknown: git is missing, or this is not a clone"]), ("0123", [])],
)
def test_an_unknown_revision_is_said_before_an_engine_is_asked(
    revision: str,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build of five minutes does not end with it."""
    told: list[str] = []

    def asked(*_: object) -> NoReturn:
        raise EngineError(" ".join(told))

    monkeypatch.setattr(work, "revision", lambda _: revision)
    monkeypatch.setattr(work, "check_space", lambda *_: None)
    monkeypatch.setattr(provision, "ensure_engine", asked)
    with pytest.raises(EngineError) as ended:
        work.prepare([work.Request("slim", ROOT / "versions.yaml")], ROOT, told.append)
    assert [line in str(ended.value) for line in said] == [True] * len(said)
    assert len(told) == len(said)
