"""Which changes make a finished build stale."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.records import RECORD
from worker_images.build import record, uptodate


class Engine:
    """A loopback engine that has one image."""

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
def built(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose slim image is built, tested and tagged."""
    out = checkout / "out" / "slim"
    out.mkdir(parents=True)
    (out / "image.tar").write_bytes(b"image")
    digest = uptodate.sources(checkout)
    replace(
        RECORD, source_digest=digest, archive_stat=record.archive_stat(out / "image.tar")
    ).write(out / "build.json")
    engine = Engine(tmp_path / "s.sock", RECORD.engine_id)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    yield checkout
    engine.close()


def test_record_is_current_when_nothing_changed(built: Path) -> None:
    found = uptodate.find_current(["--variant", "slim"], built)
    assert found
    assert found.image_id == RECORD.image_id


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
def test_record_is_stale_when_an_input_changed(path: str, built: Path) -> None:
    with (built / path).open("a") as file:
        file.write("\n")
    assert uptodate.find_current(["--variant", "slim"], built) is None


def test_record_is_stale_with_a_new_check_in_a_subfolder(built: Path) -> None:
    """pytest collects subfolders too."""
    check = built / "tests/image/more/test_more.py"
    check.parent.mkdir(parents=True)
    check.write_text("")
    assert uptodate.find_current(["--variant", "slim"], built) is None


def test_record_is_stale_with_another_archive(built: Path) -> None:
    (built / "out/slim/image.tar").write_bytes(b"other image")
    assert uptodate.find_current(["--variant", "slim"], built) is None


@pytest.mark.parametrize(
    "argv",
    [["--variant", "slim", "--no-cache"], ["--variant", "full"], ["--variant", "../x"], ["test"]],
)
def test_other_command_lines_find_no_record(argv: list[str], built: Path) -> None:
    assert uptodate.find_current(argv, built) is None


def test_record_is_stale_when_the_tag_is_on_another_image(built: Path) -> None:
    path = built / "out/slim/build.json"
    path.write_text(path.read_text().replace('"engine_id": "sha256:d"', '"engine_id": "sha256:e"'))
    assert uptodate.find_current(["--variant", "slim"], built) is None


def test_record_is_stale_when_the_engine_is_not_running(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{built}/none.sock")
    assert uptodate.find_current(["--variant", "slim"], built) is None


def test_record_is_stale_with_the_context_of_another_engine(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The docker command uses another engine then, which may not have the image."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert uptodate.find_current(["--variant", "slim"], built) is None
