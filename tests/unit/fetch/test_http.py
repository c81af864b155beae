"""Downloads over a real loopback server that misbehaves on purpose: no wrong byte is ever used, and
the next run heals.
"""

import errno
import hashlib
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import faulty
from tests.support.faulty import CONTENT, Server
from worker_images.errors import EngineError, FetchError
from worker_images.fetch import apt, http, session
from worker_images.fetch.http import Download
from worker_images.files import ROOT
from worker_images.model.lock import Package

SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{SHA256}.deb"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with faulty.running() as found:
        yield found


def package(server: Server, path: str = "/tini.deb") -> Package:
    return Package("tini", "1", f"{server.address}{path}", len(CONTENT), SHA256)


def had(server: Server, folder: Path) -> Path:
    return apt.fetch([package(server)], folder)[0]


@pytest.mark.parametrize(
    "fault", ["cut", "empty", "short", "flip", "html", "endless", "500", "503", "429"]
)
def test_download_succeeds_after_one_fault(fault: str, server: Server, tmp_path: Path) -> None:
    server.faults = [fault]
    assert had(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["cut", "empty", "short", "flip", "html", "endless", "500"])
def test_download_leaves_nothing_after_a_lasting_fault(
    fault: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [fault] * http.ATTEMPTS
    with pytest.raises(
        FetchError, match=r"fetching tini 1: http://127\.0\.0\.1:[0-9]+/tini\.deb: .*run again"
    ) as caught:
        had(server, tmp_path)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    assert had(server, tmp_path).read_bytes() == CONTENT


def test_error_names_both_digests_where_a_byte_differs(server: Server, tmp_path: Path) -> None:
    server.faults = ["flip"] * http.ATTEMPTS
    wrong = hashlib.sha256(b"x" + CONTENT[1:]).hexdigest()
    with pytest.raises(FetchError, match=f"sha256 {wrong}, want {len(CONTENT)} with {SHA256}"):
        had(server, tmp_path)


def test_error_advises_by_the_last_fault(server: Server, tmp_path: Path) -> None:
    """Wrong bytes are not a network fault; a connection that breaks off is."""
    server.faults = ["flip"] * http.ATTEMPTS
    with pytest.raises(FetchError, match=r"; these are not the pinned bytes: .* run again$"):
        had(server, tmp_path)
    server.faults = ["flip"] * (http.ATTEMPTS - 1) + ["cut"]
    with pytest.raises(
        FetchError, match=r"the connection broke off; .*else check the network and run again$"
    ):
        had(server, tmp_path)


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
    """Another mirror would not help, so there is one request."""

    def failing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(EngineError) as caught:
        had(server, tmp_path)
    assert str(caught.value) == f"{tmp_path}: {os.strerror(code)}; {fix} and run again"
    assert len(server.requests) == 1


def test_forbidden_connection_is_reported_as_a_network_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local firewall gives the same error number as a read-only disk."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("urllib3.util.connection.create_connection", refused)
    with pytest.raises(FetchError, match=r"Operation not permitted.*check the network"):
        apt.fetch([Package("tini", "1", "http://127.0.0.1:9/tini.deb", 1, SHA256)], tmp_path)


def test_error_mentions_html_where_a_portal_answers(server: Server, tmp_path: Path) -> None:
    server.faults = ["html"] * http.ATTEMPTS
    with pytest.raises(FetchError, match="it looks like HTML"):
        had(server, tmp_path)


def test_error_does_not_mention_html_where_other_bytes_differ(
    server: Server, tmp_path: Path
) -> None:
    server.faults = ["flip"] * http.ATTEMPTS
    with pytest.raises(FetchError) as caught:
        had(server, tmp_path)
    assert "HTML" not in str(caught.value)


@pytest.mark.parametrize("status", ["404", "410", "403"])
def test_download_is_not_repeated_where_the_file_is_gone(
    status: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [status] * http.ATTEMPTS
    with pytest.raises(
        FetchError,
        match=(
            f"tini 1: .*HTTP {status}; where Debian has replaced it, take today's packages: make"
            " lock"
        ),
    ):
        had(server, tmp_path)
    assert len(server.requests) == 1


def test_download_is_refused_where_the_address_serves_other_bytes(
    server: Server, tmp_path: Path
) -> None:
    """An address whose bytes change between two runs: the digest, not the address, is what is
    pinned.
    """
    had(server, tmp_path).unlink()
    server.serves["/tini.deb"] = CONTENT[::-1]
    with pytest.raises(FetchError, match=SHA256):
        had(server, tmp_path)


def test_cached_file_is_fetched_again_where_it_was_altered(server: Server, tmp_path: Path) -> None:
    path = had(server, tmp_path)
    path.write_bytes(b"x" + CONTENT[1:])
    assert had(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_cached_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    had(server, tmp_path)
    had(server, tmp_path)
    assert len(server.requests) == 1


def test_redirect_is_followed_on_the_same_host(server: Server, tmp_path: Path) -> None:
    server.faults = ["to /elsewhere.deb"]
    assert had(server, tmp_path).read_bytes() == CONTENT
    assert server.requests == ["/tini.deb", "/elsewhere.deb"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "http://localhost:1/x",
            (
                "redirected to http://localhost, which is not allowed; to allow it, add the host to"
                " WORKER_IMAGES_REDIRECT_HOSTS"
            ),
        ),
        ("http://[", "ValueError: the address, a proxy variable or the answer is malformed"),
        ("file:///etc/passwd", "redirected to file://"),
        ("ftp://127.0.0.1/x", "redirected to ftp://127.0.0.1, which is not allowed"),
    ],
)
def test_redirect_is_refused_to_another_host_or_scheme(
    target: str, words: str, server: Server, tmp_path: Path
) -> None:
    server.faults = [f"to {target}"]
    with pytest.raises(FetchError, match=words):
        had(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


def test_redirect_is_followed_to_an_allowed_host(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setenv(session.REDIRECT_HOSTS, "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server.faults = [f"to {server.address.replace('127.0.0.1', 'localhost')}/x"]
    assert had(server, tmp_path).read_bytes() == CONTENT


def test_redirect_loop_ends(server: Server, tmp_path: Path) -> None:
    server.faults = ["to /tini.deb"] * 99
    with pytest.raises(FetchError, match="Exceeded 5 redirects"):
        had(server, tmp_path)
    assert len(server.requests) <= session.MOST_REDIRECTS + 2


def test_second_address_is_used_where_the_first_lacks_the_file(
    server: Server, tmp_path: Path
) -> None:
    server.faults = ["404"]
    wanted = apt.download(package(server), f"{server.address}/snapshot/tini.deb")
    assert http.ensure(wanted, tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == ["/tini.deb", "/snapshot/tini.deb"]


def test_second_address_is_checked_as_the_first(server: Server, tmp_path: Path) -> None:
    server.faults = ["404", *["flip"] * http.ATTEMPTS]
    wanted = apt.download(package(server), f"{server.address}/snapshot/tini.deb")
    with pytest.raises(FetchError, match=r"HTTP 404; .*/snapshot/tini\.deb: got"):
        http.ensure(wanted, tmp_path / NAME)


PROGRAM = """
import sys
from pathlib import Path
from worker_images.fetch import apt as debian
url, sha256, size, folder = sys.argv[1:]
debian.fetch([debian.Package("tini", "1", url, int(size), sha256)], Path(folder))
"""


@pytest.mark.parametrize("bytes_sent", [0, 1, 4096, len(CONTENT) // 2, len(CONTENT) - 1])
def test_killed_download_leaves_nothing_under_the_name(
    bytes_sent: int, server: Server, tmp_path: Path
) -> None:
    """SIGKILL at a known byte; the next run has the file."""
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
    assert had(server, tmp_path).read_bytes() == CONTENT


def test_error_advises_to_check_the_network_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    with pytest.raises(FetchError, match="check the network and run again"):
        apt.fetch([package(Server("http://127.0.0.1:9"))], tmp_path)


def test_download_ends_where_the_server_hangs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.2)
    server.faults = ["stall 5"] * http.ATTEMPTS
    with pytest.raises(FetchError, match="timed out"):
        had(server, tmp_path)


def test_download_ends_where_bytes_trickle(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time; the whole does not."""
    monkeypatch.setattr(http, "TOTAL_SECONDS", 0.2)
    server.faults = ["drip"] * http.ATTEMPTS
    with pytest.raises(FetchError, match=r"incomplete after 0\.2 s"):
        had(server, tmp_path)


@pytest.fixture
def pauses_taken(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def test_retry_after_is_honoured_up_to_a_limit(
    server: Server, tmp_path: Path, pauses_taken: list[float]
) -> None:
    def answer(seconds: str) -> Callable[..., None]:
        def send(handler: faulty.Handler, code: int) -> None:
            handler.send_response(code)
            handler.send_header("Retry-After", seconds)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return send

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(faulty.Handler, "send_error", answer("7"))
        server.faults = ["429"]
        had(server, tmp_path).unlink()
        patched.setattr(faulty.Handler, "send_error", answer("86400"))
        server.faults = ["503"]
        had(server, tmp_path)
    assert pauses_taken == [7, http.LONGEST_PAUSE_SECONDS]


def test_copy_is_not_repeated_where_the_file_is_missing(
    tmp_path: Path, pauses_taken: list[float]
) -> None:
    wanted = Download("x", (), 1, lambda _: "", "fill it", copy=tmp_path / "none")
    with pytest.raises(FetchError, match="none: No such file or directory; fill it"):
        http.ensure(wanted, tmp_path / "x")
    assert pauses_taken == []


def test_copy_is_refused_where_its_bytes_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT * 2)
    wanted = Download("x", (), len(CONTENT), difference, "fill it", copy=tmp_path / "source")
    with pytest.raises(FetchError, match=r"copying x: .*/source: wrong; fill it"):
        http.ensure(wanted, tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    (tmp_path / "source").write_bytes(CONTENT)
    assert http.ensure(wanted, tmp_path / "x").read_bytes() == CONTENT


def difference(path: Path) -> str:
    return "" if path.read_bytes() == CONTENT else "wrong"


def test_password_of_a_proxy_is_not_shown_in_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses, one that is not there, and a malformed address of one."""
    monkeypatch.setenv("no_proxy", "")
    host = server.address.removeprefix("http://")
    proxies = {
        f"http://me:s3cret@{host}": "HTTP 403",
        "http://me:s3cret@127.0.0.1:9": "Connection refused",
        "http://me:s3cret": "is malformed",
    }
    for proxy, words in proxies.items():
        monkeypatch.setenv("http_proxy", proxy)
        server.faults = ["403"]
        with pytest.raises(FetchError) as caught:
            apt.fetch([Package("tini", "1", "http://host.invalid/t.deb", 1, SHA256)], tmp_path)
        assert words in str(caught.value)
        assert "s3cret" not in str(caught.value)
    assert server.requests == ["http://host.invalid/t.deb"]


def test_proxy_serves_a_host_out_of_reach(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.address)
    wanted = Package("tini", "1", "http://host.invalid/t.deb", len(CONTENT), SHA256)
    assert apt.fetch([wanted], tmp_path)[0].read_bytes() == CONTENT


def test_requests_is_not_imported_before_a_download() -> None:
    """Every command would start a tenth of a second later."""
    program = (
        "import sys; import worker_images.cli.build, worker_images.fetch.store\n"
        "sys.exit('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_missing_file_of_certificates_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(FetchError, match=r"https://127\.0\.0\.1:9/x: .*invalid path: /none\.pem"):
        apt.fetch([Package("tini", "1", "https://127.0.0.1:9/x", 1, SHA256)], tmp_path)


def test_certificates_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE as other programs know it, and REQUESTS_CA_BUNDLE before it."""
    bundle = ssl.get_default_verify_paths().openssl_cafile_env
    monkeypatch.setenv(bundle, __file__)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with session.Session(session.NO_RETRIES) as ours:
        found = ours.merge_environment_settings("https://host.invalid", {}, None, None, None)
        assert found["verify"] == __file__
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/other.pem")
        found = ours.merge_environment_settings("https://host.invalid", {}, None, None, None)
        assert found["verify"] == "/other.pem"
