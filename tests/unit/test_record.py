"""Records, locks and the quick answer: what was built, from what, and whether anything changed."""

import json
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.archives import layer, write
from worker_images.build import record, uptodate
from worker_images.engine import buildx
from worker_images.model.oci.outline import outline

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
    assert replace(record.Record.read(tmp_path / "build.json") or MADE, limits=()) == MADE
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

    def tell(text: str) -> None:
        said.append(text)
        release.set()

    with record.exclusive(tmp_path, tell):
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


def test_arguments_leave_secrets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy")
    text = buildx.bake(
        {"one": buildx.Job(Path("${f"), Path("c"), "type=docker", 1, no_cache=True, target="t")}
    )
    assert "hunter2" not in text
    found = json.loads(text)["target"]["one"]
    assert found["args"] == {"SOURCE_DATE_EPOCH": "1", "HTTPS_PROXY": "${HTTPS_PROXY}"}
    assert (found["no-cache"], found["target"], found["context"], found["dockerfile"]) == (
        True,
        "t",
        "c",
        "$${f",
    )


class Engine:
    """A loopback engine that knows one image."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            channel, _ = self.server.accept()
            with channel:
                if not channel.recv(65536):
                    return
                body = f'{{"Id": "{self.identity}"}}'.encode()
                channel.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
        self.thread.join(10)
        self.server.close()


@pytest.fixture
def built(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose slim image stands built, judged and tagged."""
    out = copy / "out" / "slim"
    out.mkdir(parents=True)
    (out / "image.tar").write_bytes(b"image")
    seen = uptodate.sources(copy)
    replace(MADE, inputs=seen, archive=record.stamp(out / "image.tar")).write(out / "build.json")
    served = Engine(tmp_path / "s.sock", MADE.engine_id)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    yield copy
    served.close()


def test_nothing_changed(built: Path) -> None:
    found = uptodate.look(["--variant", "slim"], built)
    assert found
    assert found.image_id == MADE.image_id


@pytest.mark.parametrize(
    "path",
    [
        "versions.yaml",
        "versions.lock",
        "worker_images/model/lock.py",
        "images/slim/variant.yaml",
        "images/components/gvisor/go.mod",
        "images/components/gvisor/go.sum",
        "worker_images/build/rootfs.py",
        "requirements.txt",
        "pyproject.toml",
    ],
)
def test_any_changed_input_is_seen(path: str, built: Path) -> None:
    with (built / path).open("a") as file:
        file.write("\n")
    assert uptodate.look(["--variant", "slim"], built) is None


def test_new_check_in_a_folder_below_is_seen(built: Path) -> None:
    """pytest collects it, too."""
    check = built / "tests/image/more/test_more.py"
    check.parent.mkdir(parents=True)
    check.write_text("")
    assert uptodate.look(["--variant", "slim"], built) is None


def test_another_archive_is_seen(built: Path) -> None:
    (built / "out/slim/image.tar").write_bytes(b"other image")
    assert uptodate.look(["--variant", "slim"], built) is None


@pytest.mark.parametrize(
    "argv",
    [["--variant", "slim", "--no-cache"], ["--variant", "full"], ["--variant", "../x"], ["test"]],
)
def test_other_questions_are_not_answered_quickly(argv: list[str], built: Path) -> None:
    assert uptodate.look(argv, built) is None


def test_a_lost_or_moved_tag_is_seen(built: Path) -> None:
    path = built / "out/slim/build.json"
    path.write_text(path.read_text().replace('"engine_id": "sha256:d"', '"engine_id": "sha256:e"'))
    assert uptodate.look(["--variant", "slim"], built) is None


def test_a_dead_engine_is_seen(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{built}/none.sock")
    assert uptodate.look(["--variant", "slim"], built) is None


def test_context_of_another_engine_is_not_answered_quickly(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine that the docker command would use is another one, which may not hold the image."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert uptodate.look(["--variant", "slim"], built) is None


@pytest.fixture
def archived(tmp_path: Path) -> tuple[Path, record.Record]:
    """An image archive, and the record of it."""
    path = write(tmp_path / "image.tar", [layer(("file", "a", "text"))])
    manifest_digest, image_id, compressed = record.manifest(path)
    made = replace(
        MADE, manifest_digest=manifest_digest, image_id=image_id, compressed_size=compressed
    )
    return path, replace(made, size=outline(path).layers[0][1], archive=record.stamp(path))


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
