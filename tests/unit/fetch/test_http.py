"""Downloads from a loopback server with faults: wrong bytes are never used or kept."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.downloads import NAME, SHA256, fetched, package
from tests.support.faulty import CONTENT, Server
from worker_images.errors import FetchError
from worker_images.fetch import http
from worker_images.fetch.http import Download
from worker_images.files import ROOT


def test_error_contains_both_digests_if_a_byte_differs(server: Server, tmp_path: Path) -> None:
    server.faults = ["flip"] * http.ATTEMPTS
    wrong = hashlib.sha256(b"x" + CONTENT[1:]).hexdigest()
    with pytest.raises(FetchError, match=f"sha256 {wrong}, want {len(CONTENT)} with {SHA256}"):
        fetched(server, tmp_path)


def test_error_mentions_html_if_a_login_page_responds(server: Server, tmp_path: Path) -> None:
    server.faults = ["html"] * http.ATTEMPTS
    with pytest.raises(FetchError, match="it looks like HTML"):
        fetched(server, tmp_path)


def test_error_does_not_mention_html_if_other_bytes_differ(server: Server, tmp_path: Path) -> None:
    server.faults = ["flip"] * http.ATTEMPTS
    with pytest.raises(FetchError) as caught:
        fetched(server, tmp_path)
    assert "HTML" not in str(caught.value)


def test_download_is_refused_if_the_address_serves_other_bytes(
    server: Server, tmp_path: Path
) -> None:
    """The digest is pinned, not the address."""
    fetched(server, tmp_path).unlink()
    server.serves["/tini.deb"] = CONTENT[::-1]
    with pytest.raises(FetchError, match=SHA256):
        fetched(server, tmp_path)


def test_cached_file_is_fetched_again_if_it_was_altered(server: Server, tmp_path: Path) -> None:
    path = fetched(server, tmp_path)
    path.write_bytes(b"x" + CONTENT[1:])
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_cached_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    fetched(server, tmp_path)
    fetched(server, tmp_path)
    assert len(server.requests) == 1


PROGRAM = """
import sys
from pathlib import Path
from worker_images.fetch import apt as debian
url, sha256, size, folder = sys.argv[1:]
debian.fetch([debian.Package("tini", "1", url, int(size), sha256)], Path(folder))
"""


@pytest.mark.parametrize("bytes_sent", [0, 1, 4096, len(CONTENT) // 2, len(CONTENT) - 1])
def test_killed_download_leaves_no_file_with_the_final_name(
    bytes_sent: int, server: Server, tmp_path: Path
) -> None:
    """The next run after a SIGKILL at a known byte downloads the file."""
    server.faults = [f"stall {bytes_sent}"]
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        package(server).url,
        SHA256,
        str(len(CONTENT)),
        str(tmp_path),
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        assert server.stalled.wait(30)
        process.kill()
    server.go_on.set()
    assert not (tmp_path / NAME).exists()
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_copy_is_not_repeated_if_the_file_is_missing(
    tmp_path: Path, recorded_pauses: list[float]
) -> None:
    file = Download("x", (), 1, lambda _: "", "fill it", copy=tmp_path / "none")
    with pytest.raises(FetchError, match="none: No such file or directory; fill it"):
        http.ensure(file, tmp_path / "x")
    assert recorded_pauses == []


def test_copy_is_refused_if_its_bytes_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT * 2)
    file = Download("x", (), len(CONTENT), difference, "fill it", copy=tmp_path / "source")
    with pytest.raises(FetchError, match=r"copying x: .*/source: wrong; fill it"):
        http.ensure(file, tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    (tmp_path / "source").write_bytes(CONTENT)
    assert http.ensure(file, tmp_path / "x").read_bytes() == CONTENT


def difference(path: Path) -> str:
    return "" if path.read_bytes() == CONTENT else "wrong"
