"""Records, locks and the quick answer: what was built, from what, and whether anything changed."""

import multiprocessing
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.archives import layer, write
from worker_images.build import record
from worker_images.files import ROOT
from worker_images.model.oci.outline import outline


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


MADE = record.Record(
    variant="slim",
    source="packages",
    versions={"gvisor": "1"},
    key={"a": "1", "b": "2"},
    image_id="sha256:c",
    manifest_digest="sha256:d",
    size=2,
    compressed_size=1,
    engine="Docker 0",
    engine_id="sha256:d",
    resolved=None,
    seconds=1.0,
    revision="r",
)


def test_record_survives_the_disk(tmp_path: Path) -> None:
    MADE.write(tmp_path / "build.json")
    assert replace(record.Record.read(tmp_path / "build.json") or MADE, lacks=()) == MADE
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variant": "slim"}', '{"new": 1}'])
def test_a_foreign_record_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "build.json"
    path.write_text(text)
    assert record.Record.read(path) is None


def test_why_it_builds() -> None:
    assert record.changed({"a": "1", "b": "2"}, MADE) == ()
    assert record.changed({"a": "1", "b": "3", "c": "4"}, MADE) == ("b", "c")
    assert record.changed({}, None) == ("no earlier build",)


def _hold(
    folder: Path,
    held: "multiprocessing.synchronize.Event",
    release: "multiprocessing.synchronize.Event",
) -> None:
    with record.exclusive(folder, lambda _: None):
        held.set()
        release.wait(30)


def test_a_second_build_waits_and_says_for_whom(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held, release, said = fork.Event(), fork.Event(), list[str]()
    first = fork.Process(target=_hold, args=(tmp_path, held, release))
    first.start()
    assert held.wait(30)

    def progress(text: str) -> None:
        said.append(text)
        release.set()

    with record.exclusive(tmp_path, progress):
        first.join(30)
    assert said == [f"waiting: process {first.pid} builds in {tmp_path}"]


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held = fork.Event()
    first = fork.Process(target=_hold, args=(tmp_path, held, fork.Event()))
    first.start()
    assert held.wait(30)
    first.kill()
    first.join(30)
    said: list[str] = []
    with record.exclusive(tmp_path, said.append):
        assert said == []


@pytest.fixture
def archived(tmp_path: Path) -> tuple[Path, record.Record]:
    """An image archive, and the record of it."""
    path = write(tmp_path / "image.tar", [layer(("file", "a", "text"))])
    manifest_digest, image_id, compressed = record.manifest(path)
    made = replace(
        MADE, manifest_digest=manifest_digest, image_id=image_id, compressed_size=compressed
    )
    return path, replace(made, size=outline(path).layers[0][1], archive_stat=record.stamp(path))


def test_archive_of_the_record_is_recognised(archived: tuple[Path, record.Record]) -> None:
    """The control of the test below; a copy has another time and is the same archive."""
    path, made = archived
    assert record.is_of(path, made)
    os.utime(path, (1, 1))
    assert record.is_of(path, made)
    assert made.size == 10240


def foreign(path: Path) -> None:
    write(path, [layer(("file", "b", "other"))])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILED: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1024]),
    "truncated early": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "no archive": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "foreign": foreign,
    "a folder": folder,
}


@pytest.mark.parametrize("fault", SPOILED)
def test_archive_that_is_not_the_recorded_one_is_gone(
    fault: str, archived: tuple[Path, record.Record]
) -> None:
    """So that it is built again, instead of ending with an error each time."""
    path, made = archived
    SPOILED[fault](path)
    assert not record.is_of(path, made)
