"""Which changes make a finished build stale."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import record, uptodate

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
def built(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose slim image stands built, judged and tagged."""
    out = checkout / "out" / "slim"
    out.mkdir(parents=True)
    (out / "image.tar").write_bytes(b"image")
    seen = uptodate.sources(checkout)
    replace(MADE, source_digest=seen, archive_stat=record.stamp(out / "image.tar")).write(
        out / "build.json"
    )
    served = Engine(tmp_path / "s.sock", MADE.engine_id)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    yield checkout
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
