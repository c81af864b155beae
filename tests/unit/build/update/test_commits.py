"""gVisor commits from a loopback module proxy and bucket, which also fail.

A failed query becomes an error message, never an offer.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support import registries
from tests.support.registries import Registry
from worker_images.build.update import commits
from worker_images.build.update.commits import Sources, drivers, newer, sources
from worker_images.build.update.values import Facts, Offer
from worker_images.errors import NoResponseError
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.component import UpstreamFile
from worker_images.model.drivers.table import Release, Table

GVISOR = "gvisor.dev/gvisor"
OLD, NEW = "v0.0.0-20260701204157-69c2d17aea96", "v0.0.0-20260905035102-160fafc42237"
DAY = "2026-09-05T03:51:02Z"
DRIVERS = ("535.129.03", "570.172.08", "615.15.00")
NO_FACTS = Facts(Table(), {})
FAULTS: dict[str, tuple[int | bytes | str, str]] = {
    "403": (403, ": HTTP 403"),
    "404": (404, ": HTTP 404"),
    "429": (429, ": HTTP 429"),
    "500": (500, ": HTTP 500"),
    "garbage": (b"<html>log in</html>", ": unexpected response, not a"),
    "cut": ("cut", ": the connection broke off"),
    "hang": ("hang", ": timed out"),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with registries.serving() as found:
        yield found


def serve(registry: Registry, *versions: str, drivers: tuple[str, ...] = DRIVERS) -> None:
    registry.module(
        GVISOR, dict.fromkeys(versions, DAY), registries.archive(drivers, ["580.95.05"])
    )


def query(
    registry: Registry, *named: str, facts: Facts = NO_FACTS, timeout: float = 5.0
) -> list[Offer]:
    return newer(Sources(GVISOR, registry.address, registry.address, timeout), OLD, named, facts)


def test_commit_is_read_with_date_size_and_drivers(registry: Registry) -> None:
    serve(registry, OLD, NEW)
    (offer,) = query(registry)
    assert (offer.version, offer.error) == (NEW, "")
    assert offer.published
    assert offer.published.isoformat() == "2026-09-05T03:51:02+00:00"
    assert offer.size == len(registries.archive(DRIVERS, ["580.95.05"]))
    assert offer.drivers == Release(NEW, DRIVERS, ("580.95.05",))


def test_newest_commits_come_first_and_tags_are_ignored(registry: Registry) -> None:
    newest = [f"v0.0.0-2026090{day}000000-160fafc42237" for day in range(9, 1, -1)]
    serve(registry, *sorted(newest), "v1.6.0", "v0.1.0-rc.1")
    assert [offer.version for offer in query(registry)] == newest[: commits.MOST_COMMITS]


def test_latest_commit_and_named_commit_are_read(registry: Registry) -> None:
    serve(registry, NEW)
    registry.rows[f"/{GVISOR}/@v/list"] = b""
    assert query(registry) == []
    assert [offer.version for offer in query(registry, NEW)] == [NEW]
    registry.rows[f"/{GVISOR}/@latest"] = json.dumps({"Version": NEW, "Time": DAY}).encode()
    assert [offer.version for offer in query(registry)] == [NEW]
    registry.rows[f"/{GVISOR}/@latest"] = 429
    with pytest.raises(NoResponseError, match="HTTP 429"):
        query(registry)


def test_version_that_is_too_long_is_refused(registry: Registry) -> None:
    serve(registry, NEW)
    registry.rows[f"/{GVISOR}/@v/list"] = b"v1." + b"9" * 5000
    with pytest.raises(NoResponseError, match="/@v/list: unexpected response, not a list"):
        query(registry)


@pytest.mark.parametrize("name", FAULTS)
def test_failing_proxy_is_named(name: str, registry: Registry) -> None:
    serve(registry, NEW)
    assert query(registry)
    registry.rows[f"/{GVISOR}/@v/list"], message = FAULTS[name]
    with pytest.raises(NoResponseError) as caught:
        query(registry, timeout=0.2)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_offer_has_an_error_when_its_date_fails(name: str, registry: Registry) -> None:
    serve(registry, NEW)
    registry.rows[f"/{GVISOR}/@v/{NEW}.info"], message = FAULTS[name]
    (offer,) = query(registry, timeout=0.2)
    assert message in offer.error
    assert (offer.published, offer.drivers) == (None, None)


ARCHIVES: dict[str, tuple[int | bytes | str, str]] = {
    "main branch": (
        registries.archive(["535.129.03"], branch="BUILD"),
        "not from gVisor's go branch",
    ),
    "no driver": (registries.archive([]), "registers no driver"),
    "not a zip": (b"PK\3\4 and no more", "not a zip file"),
    "cut": ("cut", "127.0.0.1"),
    "forbidden": (403, "HTTP 403"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_offer_has_an_error_when_its_archive_has_no_drivers(name: str, registry: Registry) -> None:
    serve(registry, NEW)
    assert query(registry)[0].error == ""
    registry.rows[f"/{GVISOR}/@v/{NEW}.zip"], message = ARCHIVES[name]
    (offer,) = query(registry)
    assert message in offer.error
    assert offer.drivers is None


def test_corrupt_archive_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as files:
        text = "addDriverABI(535, 1, 2)\n" * 500
        files.writestr(f"gvisor.dev/gvisor@v0/{registries.SOURCE}", text)
        files.writestr(f"gvisor.dev/gvisor@v0/{registries.GO_BRANCH}", "package kernel\n")
    data = out.getvalue()
    assert drivers(NEW, data).supported == ("535.01.02",)
    begin = data.index(b"version.go") + len(b"version.go")
    with pytest.raises(NoResponseError, match="its archive is corrupt or not a zip file"):
        drivers(NEW, data[:begin] + b"\xff" * 12 + data[begin + 12 :])


def test_checksum_is_read_from_the_table_or_the_bucket(registry: Registry) -> None:
    serve(registry, NEW)
    path = "/gvisor/releases/release/20260901.0/x86_64/runsc.sha512"
    facts = Facts(Table((Release("20260901.0", DRIVERS),)), {"20260901.0": "e" * 128})
    (offer,) = query(registry, facts=facts)
    assert (offer.release, offer.sha512, offer.error) == ("20260901.0", "e" * 128, "")
    assert ("GET", path) not in registry.requests
    facts = replace(facts, sha512={})
    digest = hashlib.sha512(b"runsc").hexdigest()
    registry.rows[path] = f"{digest}  runsc\n".encode()
    assert query(registry, facts=facts)[0].sha512 == digest
    for row, message in ((404, "HTTP 404"), (b"<html>", "unexpected response")):
        registry.rows[path] = row
        (offer,) = query(registry, facts=facts)
        assert message in offer.error
        assert offer.error.endswith("so the SHA-512 of runsc 20260901.0 is unknown")
        assert offer.sha512 == ""


def test_checksum_of_an_archive_is_read_from_the_bucket(registry: Registry) -> None:
    """The table has sums of single files, which newer releases do not publish."""
    serve(registry, NEW)
    facts = Facts(Table((Release("20260901.0", DRIVERS),)), {"20260901.0": "e" * 128})
    path = "/gvisor/releases/release/20260901.0/x86_64/gvisor.tar.bz2.sha512"
    registry.rows[path] = f"{'a' * 128}  gvisor.tar.bz2\n".encode()
    published = project.read(ROOT).catalog.components["gvisor"].upstream
    assert isinstance(published, UpstreamFile)
    origin = Sources(GVISOR, registry.address, registry.address, 5.0, published)
    (offer,) = newer(origin, OLD, (), facts)
    assert (offer.release, offer.sha512, offer.error) == ("20260901.0", "a" * 128, "")


def test_bucket_is_not_queried_when_no_release_matches(registry: Registry) -> None:
    serve(registry, NEW)
    (offer,) = query(registry, facts=Facts(Table((Release("20260901.0", DRIVERS[:1]),)), {}))
    assert (offer.release, offer.error) == ("", "")
    assert not [path for _, path in registry.requests if path.startswith("/gvisor/")]


def test_proxy_comes_from_goproxy() -> None:
    assert sources({}, GVISOR).proxy == "https://proxy.golang.org"
    named = {"GOPROXY": "off|https://one.example/,https://two.example,direct"}
    assert sources(named, GVISOR).proxy == "https://one.example"
    with pytest.raises(NoResponseError, match="GOPROXY names no HTTP proxy"):
        sources({"GOPROXY": "file:///srv,direct"}, GVISOR)
