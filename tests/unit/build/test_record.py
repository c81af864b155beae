"""Records of builds, the lock of an output folder, and the revision of the checkout."""

import hashlib
import io
import json
import multiprocessing
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given

from tests.support.archives import layer, write
from tests.support.hostile import bounded, changed
from tests.support.records import RECORD
from worker_images.build import record
from worker_images.errors import EngineError
from worker_images.files import ROOT
from worker_images.model.oci.outline import outline


def git(folder: Path, *arguments: str) -> str:
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
        *(part for pair in identity for part in (pair[:2], pair[2:])),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit and a subfolder that is not a clone."""
    try:
        git(tmp_path, "init")
    except FileNotFoundError:
        pytest.skip("not run: no git")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    (tmp_path / "unpacked").mkdir()
    return tmp_path


def test_revision_is_the_commit_of_the_checkout(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also in a hook of another repository, which sets GIT_DIR to that one."""
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    commit = git(clone, "--git-dir", str(clone / ".git"), "rev-parse", "HEAD")
    git(clone, "--git-dir", str(clone / ".git"), "tag", "--annotate", "--message=1", "v1")
    assert record.revision(clone) == commit
    (clone / "file").write_text("2")
    assert record.revision(clone) == f"{commit}-dirty"


def test_file_that_was_added_makes_a_checkout_dirty(clone: Path) -> None:
    """It may be a test, or a setting of tests."""
    assert not record.revision(clone).endswith("-dirty")
    (clone / "conftest.py").write_text("")
    assert record.revision(clone).endswith("-dirty")


def test_revision_is_unknown_in_an_unpacked_archive(clone: Path) -> None:
    """The revision of a surrounding repository belongs to another project."""
    assert record.revision(clone / "unpacked") == "unknown"


def test_revision_is_unknown_without_git(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone / "unpacked"))
    assert record.revision(clone) == "unknown"


def test_record_is_equal_after_write_and_read(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "build.json")
    assert replace(record.Record.read(tmp_path / "build.json") or RECORD, lacks=()) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"variant": "slim"}', '{"new": 1}', "[" * 100_000]
)
def test_record_is_none_for_another_format(text: str, tmp_path: Path) -> None:
    path = tmp_path / "build.json"
    path.write_text(text)
    assert record.Record.read(path) is None


@bounded
@given(changed(json.loads(json.dumps(asdict(RECORD)))))
def test_changed_record_is_read_or_none(value: object) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(json.dumps(value))
        file.flush()
        found = record.Record.read(Path(file.name))
    if found:
        assert record.changed(found.key, found) == ()
        assert type(found.image_id) is str


def test_changed_names_the_inputs_that_differ() -> None:
    assert record.changed({"a": "1", "b": "2"}, RECORD) == ()
    assert record.changed({"a": "1", "b": "3", "c": "4"}, RECORD) == ("b", "c")
    assert record.changed({}, None) == ("no earlier build",)


def _hold(
    folder: Path,
    held: "multiprocessing.synchronize.Event",
    release: "multiprocessing.synchronize.Event",
) -> None:
    with record.exclusive(folder, lambda _: None):
        held.set()
        release.wait(30)


def test_second_build_waits_and_reports_the_holder(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held, release, messages = fork.Event(), fork.Event(), list[str]()
    first = fork.Process(target=_hold, args=(tmp_path, held, release))
    first.start()
    assert held.wait(30)

    def progress(text: str) -> None:
        messages.append(text)
        release.set()

    with record.exclusive(tmp_path, progress):
        first.join(30)
    assert messages == [f"waiting for {tmp_path}: process {first.pid} is building"]


def test_lock_is_released_when_its_holder_is_killed(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held = fork.Event()
    first = fork.Process(target=_hold, args=(tmp_path, held, fork.Event()))
    first.start()
    assert held.wait(30)
    first.kill()
    first.join(30)
    messages: list[str] = []
    with record.exclusive(tmp_path, messages.append):
        assert messages == []


@pytest.fixture
def archived(tmp_path: Path) -> tuple[Path, record.Record]:
    """An image archive and its record."""
    path = write(tmp_path / "image.tar", [layer(("file", "a", "text"))])
    manifest_digest, image_id, compressed = record.manifest(path)
    built = replace(
        RECORD, manifest_digest=manifest_digest, image_id=image_id, compressed_size=compressed
    )
    return path, replace(
        built, size=outline(path).layers[0][1], archive_stat=record.archive_stat(path)
    )


def test_archive_matches_its_record(archived: tuple[Path, record.Record]) -> None:
    """Control of the test below. The modification time does not matter."""
    path, built = archived
    assert record.matches(path, built)
    os.utime(path, (1, 1))
    assert record.matches(path, built)
    assert built.size == 10240


def replace_with_other_image(path: Path) -> None:
    write(path, [layer(("file", "b", "other"))])


def replace_with_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1024]),
    "truncated early": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "not an archive": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "another image": replace_with_other_image,
    "a folder": replace_with_folder,
}


@pytest.mark.parametrize("change", CHANGES)
def test_archive_does_not_match_after_a_change(
    change: str, archived: tuple[Path, record.Record]
) -> None:
    """It is then built again, instead of failing each time."""
    path, built = archived
    CHANGES[change](path)
    assert not record.matches(path, built)


@pytest.mark.parametrize("manifest", ["{}", "[]", "[" * 10_000, '{"config": 1}', '{"layers": {}}'])
def test_malformed_manifest_is_an_engine_error(manifest: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    kind = "application/vnd.oci.image.manifest.v1+json"
    entry = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(manifest)}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]})
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        for name, text in (("index.json", index), (f"blobs/sha256/{digest}", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    with pytest.raises(EngineError, match=r"image.tar: .*; build it again with --no-cache"):
        record.manifest(tmp_path / "image.tar")
