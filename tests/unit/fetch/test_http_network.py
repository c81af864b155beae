"""Downloads without a network, through proxies, and with certificates."""

import errno
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.downloads import SHA256, package
from tests.support.faulty import CONTENT, Server
from worker_images.errors import FetchError
from worker_images.fetch import apt, http, session
from worker_images.files import ROOT
from worker_images.model.lock import Package


def test_forbidden_connection_is_reported_as_a_network_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local firewall returns the same error number as a disk without permission."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("urllib3.util.connection.create_connection", refused)
    with pytest.raises(FetchError, match=r"Operation not permitted.*check the network"):
        apt.fetch([Package("tini", "1", "http://127.0.0.1:9/tini.deb", 1, SHA256)], tmp_path)


def test_next_step_is_to_check_the_network_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    with pytest.raises(FetchError, match="check the network and run again"):
        apt.fetch([package(Server("http://127.0.0.1:9"))], tmp_path)


def test_password_of_a_proxy_is_not_shown_in_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses, one that does not exist, and a malformed address."""
    monkeypatch.setenv("no_proxy", "")
    host = server.address.removeprefix("http://")
    proxies = {
        f"http://me:s3cret@{host}": "HTTP 403",
        "http://me:s3cret@127.0.0.1:9": "Connection refused",
        "http://me:s3cret": "is malformed",
    }
    for proxy, message in proxies.items():
        monkeypatch.setenv("http_proxy", proxy)
        server.faults = ["403"]
        with pytest.raises(FetchError) as caught:
            apt.fetch([Package("tini", "1", "http://host.invalid/t.deb", 1, SHA256)], tmp_path)
        assert message in str(caught.value)
        assert "s3cret" not in str(caught.value)
    assert server.requests == ["http://host.invalid/t.deb"]


def test_proxy_serves_an_unreachable_host(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.address)
    file = Package("tini", "1", "http://host.invalid/t.deb", len(CONTENT), SHA256)
    assert apt.fetch([file], tmp_path)[0].read_bytes() == CONTENT


def test_requests_is_not_imported_before_a_download() -> None:
    """The import would delay every command by 0.1 s."""
    program = (
        "import sys; import worker_images.cli.build, worker_images.fetch.store\n"
        "sys.exit('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_missing_file_of_certificates_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(FetchError, match=r"https://127\.0\.0\.1:9/x: .*invalid path: /none\.pem"):
        apt.fetch([Package("tini", "1", "https://127.0.0.1:9/x", 1, SHA256)], tmp_path)


def test_certificates_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE is used as by other programs; REQUESTS_CA_BUNDLE overrides it."""
    bundle = ssl.get_default_verify_paths().openssl_cafile_env
    monkeypatch.setenv(bundle, __file__)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with session.Session(session.NO_RETRIES, {}) as ours:
        found = ours.merge_environment_settings("https://host.invalid", {}, None, None, None)
        assert found["verify"] == __file__
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/other.pem")
        found = ours.merge_environment_settings("https://host.invalid", {}, None, None, None)
        assert found["verify"] == "/other.pem"
