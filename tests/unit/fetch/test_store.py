"""The store of inputs: downloads, verification and offline folders."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import faulty
from tests.support.faulty import Server
from tests.support.modules import PREFIX, zipped
from worker_images.errors import EngineError, FetchError, ImageBuildError
from worker_images.fetch import apt, gomod, http, session, store
from worker_images.fetch.gomod import File
from worker_images.fetch.store import Store
from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.lock import Package
from worker_images.model.pins import Pins


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with faulty.running() as found:
        monkeypatch.setenv("GOPROXY", found.address)
        yield found


RIGHT, WRONG = zipped(a=b"right"), zipped(a=b"wrong")


def module(content: bytes = b"right") -> File:
    return File("a.org/b", "v1.0.0", gomod.hash1([(f"{PREFIX}a", content)]))


def test_module_is_fetched(proxy: Server, tmp_path: Path) -> None:
    """The control of the tests below."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT


@pytest.mark.parametrize("body", [WRONG, RIGHT[:-9], b"<html>", b""])
def test_module_is_refused_if_its_bytes_differ(body: bytes, proxy: Server, tmp_path: Path) -> None:
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = body
    with pytest.raises(
        FetchError, match=r"Go module a\.org/b v1\.0\.0: .*want h1:.*these are not the pinned bytes"
    ):
        Store(tmp_path).modules([module()])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT


def test_module_is_refused_if_its_published_hash_differs_too(proxy: Server, tmp_path: Path) -> None:
    """The hash comes from go.sum, never from a proxy's .ziphash."""
    proxy.serves |= {
        "/a.org/b/@v/v1.0.0.zip": WRONG,
        "/a.org/b/@v/v1.0.0.ziphash": module(b"wrong").sum.encode(),
    }
    with pytest.raises(FetchError, match=module().sum.replace("+", r"\+")):
        Store(tmp_path).modules([module()])
    assert {path.rpartition(".")[2] for path in proxy.requests} == {"zip"}


@pytest.fixture
def filled(proxy: Server, tmp_path: Path) -> Path:
    """A folder with a package and a module, in the layout of `build.py fetch`."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    source, folder = Store(tmp_path / "cache"), tmp_path / "media"
    pinned, _ = pins.load(ROOT / "versions.yaml")
    (deb,) = source.debs([package(proxy)], pinned.debian, ["2026-11-25T00:00:00Z"])
    (zip_file,) = source.modules([module()])
    store.copy_file(source, deb, apt.download(package(proxy)).fault, folder)
    store.copy_file(source, zip_file, module().fault, folder)
    proxy.requests.clear()
    return folder


def package(server: Server) -> Package:
    return Package(
        "tini",
        "1",
        f"{server.address}/tini.deb",
        len(faulty.CONTENT),
        hashlib.sha256(faulty.CONTENT).hexdigest(),
    )


def test_filled_folder_replaces_the_network(
    filled: Path, proxy: Server, tmp_path: Path, pins: Pins
) -> None:
    offline = Store(tmp_path / "other", source=filled)
    assert (
        offline.debs([package(proxy)], pins.debian, ["2026-11-25T00:00:00Z"])[0].read_bytes()
        == faulty.CONTENT
    )
    assert offline.modules([module()])[0].read_bytes() == RIGHT
    assert proxy.requests == []


@pytest.mark.parametrize("damaged", [b"", b"x"])
def test_filled_folder_is_refused_if_a_file_is_damaged_or_missing(
    damaged: bytes, filled: Path, proxy: Server, tmp_path: Path, pins: Pins
) -> None:
    for path in filled.rglob("*.deb"):
        path.write_bytes(damaged) if damaged else path.unlink()
    with pytest.raises(
        FetchError,
        match=(
            r"tini 1: .*on a machine with a network, run: \./build\.py fetch --into"
            rf" {filled}"
        ),
    ):
        Store(tmp_path / "other", source=filled).debs(
            [package(proxy)], pins.debian, ["2026-11-25T00:00:00Z"]
        )
    assert proxy.requests == []


def test_snapshot_address_is_derived_from_the_mirror(pins: Pins) -> None:
    times, path = ["2026-11-25T00:21:46Z"], "pool/main/t/tini/tini_1.deb"
    found = {
        address: store.snapshots(f"{address}/{path}", pins.debian, times)
        for address in (pins.debian.mirror, pins.debian.security)
    }
    archive = "https://snapshot.debian.org/archive"
    assert found == {
        pins.debian.mirror: (f"{archive}/debian/20261125T002146Z/{path}",),
        pins.debian.security: (f"{archive}/debian-security/20261125T002146Z/{path}",),
    }
    assert store.snapshots("http://elsewhere.org/x.deb", pins.debian, times) == ()


def test_replaced_package_is_fetched_from_the_snapshots(
    proxy: Server, tmp_path: Path, pins: Pins
) -> None:
    pin = pins.debian.model_copy(
        update={"mirror": f"{proxy.address}/debian", "snapshot": f"{proxy.address}/archive"}
    )
    wanted = replace(package(proxy), url=f"{pin.mirror}/tini.deb")
    proxy.faults = ["404", "404"]
    times = ["2026-11-25T00:21:46Z", "2026-12-01T10:00:00Z"]
    assert Store(tmp_path).debs([wanted], pin, times)[0].read_bytes() == faulty.CONTENT
    assert proxy.requests == [
        "/debian/tini.deb",
        "/archive/debian/20261125T002146Z/tini.deb",
        "/archive/debian/20261201T100000Z/tini.deb",
    ]


def test_stored_module_is_fetched_again_if_a_byte_differs(proxy: Server, tmp_path: Path) -> None:
    """Each byte is altered, one after the other."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    (path,) = Store(tmp_path).modules([module()])
    for position in range(len(RIGHT)):
        path.write_bytes(RIGHT[:position] + bytes([RIGHT[position] ^ 0xFF]) + RIGHT[position + 1 :])
        assert gomod.hash_of_zip(Store(tmp_path).modules([module()])[0], PREFIX) == module().sum


def test_proxys_password_is_sent_and_not_shown(
    proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = proxy.address.replace("http://", "http://me:s%65cret@")
    monkeypatch.setenv("GOPROXY", address)
    proxy.faults = ["404"]
    with pytest.raises(FetchError) as caught:
        Store(tmp_path).modules([module()])
    assert proxy.passwords == ["Basic bWU6c2VjcmV0"]
    assert "cret" not in str(caught.value)


def test_proxys_password_is_not_sent_to_another_host(
    proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect to an allowed host sends no password; one to the same host does."""
    monkeypatch.setenv("GOPROXY", proxy.address.replace("http://", "http://me:secret@"))
    monkeypatch.setenv(session.REDIRECT_HOSTS, "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    proxy.serves |= dict.fromkeys(("/x", "/y"), RIGHT)
    other = proxy.address.replace("127.0.0.1", "localhost")
    proxy.faults = ["to /x", f"to {other}/y"]
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT
    assert proxy.passwords == ["Basic bWU6c2VjcmV0", "Basic bWU6c2VjcmV0", None]


@pytest.mark.parametrize(
    ("message", "kind", "step"),
    [
        (
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on"
                " device"
            ),
            EngineError,
            "; free some space in ",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            FetchError,
            "; these are not the pinned bytes",
        ),
        (
            "ERROR: No matching distribution found for x",
            FetchError,
            "; check the network and PIP_INDEX_URL, then run again",
        ),
    ],
)
def test_next_step_depends_on_the_first_error_of_pip(
    message: str, kind: type[ImageBuildError], step: str
) -> None:
    found = store.pip_failure("x 1", f"WARNING: a\n{message}\nERROR: b\n")
    assert type(found) is kind
    assert str(found).startswith(f"fetching x 1: {message}{step}")


def test_published_file_follows_a_redirect_of_its_host(
    proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """component.yaml names the hosts; without it, the redirect is refused."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    proxy.serves["/asset"] = RIGHT
    digest = f"sha256:{hashlib.sha256(RIGHT).hexdigest()}"
    place = f"to {proxy.address.replace('127.0.0.1', 'localhost')}/asset"
    proxy.faults = [place]
    with pytest.raises(FetchError, match="redirected to http://localhost, which is not allowed"):
        Store(tmp_path).file(f"{proxy.address}/runc", digest)
    proxy.faults = [place]
    found = Store(tmp_path).file(f"{proxy.address}/runc", digest, ("localhost",))
    assert found.read_bytes() == RIGHT
    # Now it is here: no request.
    assert Store(tmp_path).file("https://none.invalid/runc", digest) == found


def test_published_file_comes_from_a_mirror_and_is_checked(proxy: Server, tmp_path: Path) -> None:
    proxy.serves["/mirror/a/runc"] = RIGHT
    mirrors = {"https://github.com": f"{proxy.address}/mirror"}
    found = Store(tmp_path, mirrors=mirrors)
    digest = f"sha512:{hashlib.sha512(RIGHT).hexdigest()}"
    assert found.file("https://github.com/a/runc", digest).read_bytes() == RIGHT
    with pytest.raises(FetchError, match="not the pinned bytes"):
        found.file("https://github.com/a/runc", f"sha512:{'0' * 128}")
