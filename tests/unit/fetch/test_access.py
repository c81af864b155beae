"""Mirrors of a site: with a login, behind a proxy, at a time in the past."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import registries
from tests.support.debian_archives import FOLDER
from tests.support.downloads import package
from tests.support.faulty import CONTENT, Server
from tests.support.registries import Registry
from worker_images.errors import FetchError, NoResponseError
from worker_images.fetch import access, apt, session, web
from worker_images.files import ROOT
from worker_images.model import pins

NEWEST = {"tini": "1:99~deb13u2"}
PASSWORD = "s3cret"  # noqa: S105 - of a server that the test starts
AUTHORIZATION = f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """Signed archives below /newer and /expired, on a machine without settings of its own."""
    monkeypatch.setattr(apt, "KEYRING", FOLDER / "signer.asc")
    monkeypatch.setattr(access, "APT", tmp_path / "apt")
    (tmp_path / "apt/auth.conf.d").mkdir(parents=True)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with registries.serving() as registry:
        for path in FOLDER.rglob("dists/**/*"):
            if path.is_file():
                registry.rows[f"/{path.relative_to(FOLDER)}"] = path.read_bytes()
        yield registry


def newest(address: str) -> dict[str, str]:
    """What apt finds at a mirror."""
    pin = pins.load(ROOT / "versions.yaml")[0].debian
    source = apt.security_sources(pin.model_copy(update={"security": address}))
    return apt.newest(source, {"tini"}, "amd64")


def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Give this machine's apt a setting."""
    (tmp_path / "apt.conf").write_text(text)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))


@pytest.mark.parametrize("file", ["netrc", "apt/auth.conf", "apt/auth.conf.d/site.conf"])
def test_mirror_with_a_login_is_used(archive: Registry, tmp_path: Path, file: str) -> None:
    """apt and downloads use the same logins."""
    archive.authorization = AUTHORIZATION
    host = archive.address.removeprefix("http://").partition(":")[0]
    machine = host if file == "netrc" else archive.address
    (tmp_path / file).write_text(f"# site\nmachine {machine} login me password {PASSWORD}\n")
    assert newest(f"{archive.address}/newer") == NEWEST
    assert web.get(f"{archive.address}/newer/dists/trixie-security/InRelease", 5)


def test_mirror_that_refuses_a_login_is_named(archive: Registry) -> None:
    archive.authorization = AUTHORIZATION
    with pytest.raises(FetchError, match="the mirror needs a login: add it to"):
        newest(f"{archive.address}/newer")
    with pytest.raises(NoResponseError, match=r"HTTP 401 .the host needs a login: add it to"):
        web.get(archive.address, 5)


@pytest.mark.parametrize(
    ("machine", "address", "sent"),
    [
        ("mirror.example", "https://mirror.example/debian/dists", True),
        ("mirror.example/debian", "https://mirror.example/debian/dists", True),
        ("mirror.example:8443", "https://mirror.example:8443/debian", True),
        ("mirror.example", "http://mirror.example/debian", False),
        ("mirror.example/debian", "https://mirror.example/pypi", False),
        ("mirror.example", "https://other.example/", False),
        ("mirror.example", "https://mirror.example.attacker.example/", False),
    ],
)
def test_login_of_apt_is_for_its_machine_alone(
    machine: str, address: str, sent: bool, archive: Registry, tmp_path: Path
) -> None:
    assert archive.address
    (tmp_path / "apt/auth.conf").write_text(f"machine {machine} login me password {PASSWORD}")
    assert access.login(address) == (("me", PASSWORD) if sent else ("", ""))


def test_proxy_of_apt_serves_archives(
    archive: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path, f'Acquire::http::Proxy "{archive.address}";')
    host = "http://host.invalid"
    archive.rows |= {f"{host}{path}": row for path, row in archive.rows.items()}
    assert newest(f"{host}/newer") == NEWEST


def test_proxy_of_apt_serves_packages_and_nothing_else(
    archive: Registry, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """apt's proxy is often a cache of packages, which refuses other addresses."""
    monkeypatch.delenv("no_proxy")
    configure(monkeypatch, tmp_path, f'Acquire::http::Proxy "{server.address}";')
    assert archive.address
    file = package(Server("http://host.invalid"))
    assert apt.fetch([file], tmp_path)[0].read_bytes() == CONTENT
    assert access.proxies("http://host.invalid/index.html") == {}
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert access.proxies(file.url) == {}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_host_that_apt_reaches_directly_has_no_proxy(
    scheme: str, archive: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert archive.address
    configure(
        monkeypatch,
        tmp_path,
        'Acquire::http::Proxy "http://proxy";\nAcquire::http::Proxy::inside.example "DIRECT";',
    )
    assert access.proxies(f"{scheme}://inside.example/a.deb") == {}
    assert access.proxies(f"{scheme}://other.example/a.deb") == {scheme: "http://proxy"}


def test_network_in_no_proxy_is_reached_directly(
    archive: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt itself reads host names only."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    assert newest(f"{archive.address}/newer") == NEWEST
    monkeypatch.setenv("no_proxy", "10.0.0.0/8")
    with pytest.raises(FetchError, match=r"Could not connect to 127\.0\.0\.1:9"):
        newest(f"{archive.address}/newer")


def test_snapshot_is_a_mirror_although_its_indexes_have_expired(archive: Registry) -> None:
    """The time in its address is the pin; at another address, old indexes may hide updates."""
    expired = {path: row for path, row in archive.rows.items() if path.startswith("/expired/")}
    time = "20260701T000000Z"
    archive.rows |= {path.replace("/expired/", f"/{time}/"): row for path, row in expired.items()}
    assert newest(f"{archive.address}/{time}")
    with pytest.raises(FetchError, match=r"is expired.*this machine's clock shows 20.* UTC"):
        newest(f"{archive.address}/expired")


@pytest.mark.parametrize("fault", ["certificate is not yet valid", "certificate has expired"])
def test_certificate_at_another_time_is_reported_with_the_clock(fault: str) -> None:
    reason = session.cause(OSError(1, f"certificate verify failed: {fault}"))
    assert reason.startswith(f"certificate verify failed: {fault} (this machine's clock shows 20")
