"""A download is repeated after a fault that may pass, and not after others."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import faulty
from tests.support.downloads import NAME, fetched, package
from tests.support.faulty import CONTENT, Server
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt, http


@pytest.mark.parametrize(
    "fault", ["cut", "empty", "short", "flip", "html", "endless", "500", "503", "429"]
)
def test_download_succeeds_after_one_fault(fault: str, server: Server, tmp_path: Path) -> None:
    server.faults = [fault]
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["cut", "empty", "short", "flip", "html", "endless", "500"])
def test_download_leaves_nothing_after_a_lasting_fault(
    fault: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [fault] * http.ATTEMPTS
    with pytest.raises(
        FetchError, match=r"fetching tini 1: http://127\.0\.0\.1:[0-9]+/tini\.deb: .*run again"
    ) as caught:
        fetched(server, tmp_path)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_next_step_depends_on_the_last_fault(server: Server, tmp_path: Path) -> None:
    """Wrong bytes are not a fault of the network; an interrupted connection is."""
    server.faults = ["flip"] * http.ATTEMPTS
    with pytest.raises(FetchError, match=r"; these are not the pinned bytes: .* run again$"):
        fetched(server, tmp_path)
    server.faults = ["flip"] * (http.ATTEMPTS - 1) + ["cut"]
    with pytest.raises(
        FetchError, match=r"the connection broke off; .*else check the network and run again$"
    ):
        fetched(server, tmp_path)


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENOSPC, "free some space there"),
        (errno.EDQUOT, "free some space there"),
        (errno.EROFS, "give this user access"),
    ],
)
def test_disk_failure_ends_the_download_at_once(
    code: int, fix: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another mirror would not help, so the download is not repeated."""

    def failing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(EngineError) as caught:
        fetched(server, tmp_path)
    assert str(caught.value) == f"{tmp_path}: {os.strerror(code)}; {fix} and run again"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["404", "410", "403"])
def test_download_is_not_repeated_if_the_file_was_removed(
    status: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [status] * http.ATTEMPTS
    with pytest.raises(
        FetchError,
        match=(
            f"tini 1: .*HTTP {status}; if Debian replaced it, use the current packages: make lock"
        ),
    ):
        fetched(server, tmp_path)
    assert len(server.requests) == 1


def test_second_address_is_used_if_the_first_lacks_the_file(server: Server, tmp_path: Path) -> None:
    server.faults = ["404"]
    file = apt.download(package(server), f"{server.address}/snapshot/tini.deb")
    assert http.ensure(file, tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == ["/tini.deb", "/snapshot/tini.deb"]


def test_second_address_is_checked_like_the_first(server: Server, tmp_path: Path) -> None:
    server.faults = ["404", *["flip"] * http.ATTEMPTS]
    file = apt.download(package(server), f"{server.address}/snapshot/tini.deb")
    with pytest.raises(FetchError, match=r"HTTP 404; .*/snapshot/tini\.deb: got"):
        http.ensure(file, tmp_path / NAME)


def test_download_ends_if_the_server_hangs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.2)
    server.faults = ["stall 5"] * http.ATTEMPTS
    with pytest.raises(FetchError, match="timed out"):
        fetched(server, tmp_path)


def test_download_ends_if_the_server_is_too_slow(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte arrives in time, but the complete file does not."""
    monkeypatch.setattr(http, "TOTAL_SECONDS", 0.2)
    server.faults = ["drip"] * http.ATTEMPTS
    with pytest.raises(FetchError, match=r"incomplete after 0\.2 s"):
        fetched(server, tmp_path)


def test_retry_after_is_honoured_up_to_a_limit(
    server: Server, tmp_path: Path, recorded_pauses: list[float]
) -> None:
    def respond(seconds: str) -> Callable[..., None]:
        def send(handler: faulty.Handler, code: int) -> None:
            handler.send_response(code)
            handler.send_header("Retry-After", seconds)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return send

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(faulty.Handler, "send_error", respond("7"))
        server.faults = ["429"]
        fetched(server, tmp_path).unlink()
        patched.setattr(faulty.Handler, "send_error", respond("86400"))
        server.faults = ["503"]
        fetched(server, tmp_path)
    assert recorded_pauses == [7, http.LONGEST_PAUSE_SECONDS]
