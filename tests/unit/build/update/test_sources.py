"""What sources offer, over a real loopback server that also misbehaves: a fault is told in words,
and is never an offer.
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
from worker_images.build.update import gather, goproxy, pypi, suite, vendor
from worker_images.errors import NoAnswerError
from worker_images.fetch import web
from worker_images.files import ROOT
from worker_images.model.pins import Pins

RUNC = "github.com/opencontainers/runc"
GVISOR = "gvisor.dev/gvisor"
OLD, NEW = "v0.0.0-20260701204157-69c2d17aea96", "v0.0.0-20260905035102-160fafc42237"
DAY = "2026-09-24T21:12:22Z"
FAULTS: dict[str, tuple[int | bytes | str, str]] = {
    "403": (403, "127.0.0.1 answers HTTP 403 (forbidden)"),
    "404": (404, "127.0.0.1 answers HTTP 404 (not there)"),
    "429": (429, "127.0.0.1 answers HTTP 429 (too many requests, try later)"),
    "500": (500, "127.0.0.1 answers HTTP 500"),
    "garbage": (b"<html>log in</html>", "127.0.0.1 answers what is no"),
    "cut": ("cut", "127.0.0.1"),
    "hang": ("hang", "127.0.0.1 does not answer (timed out)"),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with registries.serving() as found:
        yield found


def module(registry: Registry, path: str = RUNC, timeout: float = 5.0) -> goproxy.Module:
    return goproxy.Module(registry.address, path, timeout)


def wheel(version: str, **changes: object) -> dict[str, object]:
    platform = "manylinux2014_x86_64.manylinux_2_17_x86_64"
    name = f"nvidia_cuda_runtime_cu12-{version}-py3-none-{platform}.whl"
    return {
        "filename": name,
        "hashes": {"sha256": "a" * 64},
        "size": 954765,
        "upload-time": DAY,
        "yanked": False,
        **changes,
    }


def test_newer_releases_come_newest_first_with_date_and_size(registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.2": DAY, "v1.5.10": DAY, "v1.5.9": DAY, "v1.4.3": DAY}, b"x" * 77)
    offers = goproxy.Releases(module(registry)).newer("v1.5.2")
    assert [offer.version for offer in offers] == ["v1.5.10", "v1.5.9"]
    assert offers[0].published
    assert (offers[0].published.isoformat(), offers[0].size, offers[0].fault) == (
        "2026-09-24T21:12:22+00:00",
        77,
        "",
    )


def test_a_candidate_is_never_offered(registry: Registry) -> None:
    """Beside a release, which is."""
    registry.module(
        RUNC,
        {
            "v1.6.0-rc.1": DAY,
            "v1.6.0": DAY,
            "v2.0.0-alpha": DAY,
            "v0.0.0-20990115041553-12f6a991201f": DAY,
        },
    )
    assert [offer.version for offer in goproxy.Releases(module(registry)).newer("v1.5.2")] == [
        "v1.6.0"
    ]


def test_a_version_without_end_is_told(registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.3": DAY})
    registry.rows[f"/{RUNC}/@v/list"] = b"v1.5.3\nv1." + b"9" * 5000
    with pytest.raises(NoAnswerError, match=r"127.0.0.1 lists a version of 5003 characters"):
        goproxy.Releases(module(registry)).newer("v1.5.2")


def test_a_corrupt_stream_in_an_archive_is_told() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr(
            f"gvisor.dev/gvisor@v0/{registries.SOURCE}", "addDriverABI(535, 1, 2)\n" * 500
        )
        files.writestr(f"gvisor.dev/gvisor@v0/{registries.GO_BRANCH}", "package kernel\n")
    whole = out.getvalue()
    assert goproxy.drivers(whole).supported == {"535.01.02"}
    begin = whole.index(b"version.go") + len(b"version.go")
    with pytest.raises(NoAnswerError, match="its archive is no zip file, or a damaged one"):
        goproxy.drivers(whole[:begin] + b"\xff" * 12 + whole[begin + 12 :])


def test_upper_case_is_escaped(registry: Registry) -> None:
    registry.module("github.com/!n!v!i!d!i!a/toolkit", {"v1.20.2": DAY})
    assert (
        len(goproxy.Releases(module(registry, "github.com/NVIDIA/toolkit")).newer("v1.20.1")) == 1
    )


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_listed_version_that_cannot_be_had_says_so(status: int, registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.3": DAY, "v1.5.4": DAY})
    registry.rows[f"/{RUNC}/@v/v1.5.4.info"] = status
    broken, well = goproxy.Releases(module(registry)).newer("v1.5.2")
    assert broken.fault.startswith(
        f"v1.5.4 is listed and cannot be had: 127.0.0.1 answers HTTP {status}"
    )
    assert well.fault == ""


@pytest.mark.parametrize("name", FAULTS)
def test_a_proxy_that_fails_is_told(name: str, registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.3": DAY})
    assert goproxy.Releases(module(registry)).newer("v1.5.2")
    row, words = FAULTS[name]
    registry.rows[f"/{RUNC}/@v/list"] = row
    with pytest.raises(NoAnswerError) as caught:
        goproxy.Releases(module(registry, timeout=0.2)).newer("v1.5.2")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_a_version_that_fails_is_an_offer_with_a_fault(name: str, registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.3": DAY})
    row, words = FAULTS[name]
    registry.rows[f"/{RUNC}/@v/v1.5.3.info"] = row
    (offer,) = goproxy.Releases(module(registry, timeout=0.2)).newer("v1.5.2")
    assert words in offer.fault
    assert offer.published is None


@pytest.mark.parametrize("size", [404, "hang"])
def test_a_size_that_nobody_tells_is_no_fault(size: int | str, registry: Registry) -> None:
    registry.module(RUNC, {"v1.5.3": DAY})
    registry.rows[f"/{RUNC}/@v/v1.5.3.zip"] = size
    (offer,) = goproxy.Releases(module(registry, timeout=0.2)).newer("v1.5.2")
    assert (offer.size, offer.fault) == (None, "")


def test_go_itself(registry: Registry) -> None:
    """Other machines' Go and candidates are not asked about."""
    names = (
        "1.26.11.linux-amd64",
        "1.26.12.linux-amd64",
        "1.26.13.linux-arm64",
        "1.27rc1.linux-amd64",
        "1.27.4.linux-amd64",
    )
    registry.module("golang.org/toolchain", {f"v0.0.1-go{name}": DAY for name in names})
    offers = goproxy.Toolchains(module(registry, "golang.org/toolchain")).newer("1.26.11")
    assert [offer.version for offer in offers] == ["1.27.4", "1.26.12"]


def test_a_commit_tells_its_drivers(registry: Registry) -> None:
    registry.module(
        GVISOR,
        {OLD: DAY, NEW: DAY},
        registries.archive(["535.129.03", "570.172.8", "615.15.00"], ["580.95.05"]),
    )
    (offer,) = goproxy.Commits(module(registry, GVISOR)).newer(OLD)
    assert offer.version == NEW
    assert offer.contract
    assert offer.contract.supported == {"535.129.03", "570.172.08", "615.15.00"}
    assert offer.contract.known == {"580.95.05"}


def test_the_latest_commit_and_a_named_one_are_asked_for(registry: Registry) -> None:
    registry.module(GVISOR, {NEW: DAY}, registries.archive(["535.129.03"]))
    registry.rows[f"/{GVISOR}/@v/list"] = b""
    assert goproxy.Commits(module(registry, GVISOR)).newer(OLD) == []
    assert [
        offer.version for offer in goproxy.Commits(module(registry, GVISOR), (NEW,)).newer(OLD)
    ] == [NEW]
    registry.rows[f"/{GVISOR}/@latest"] = json.dumps({"Version": NEW, "Time": DAY}).encode()
    assert [offer.version for offer in goproxy.Commits(module(registry, GVISOR)).newer(OLD)] == [
        NEW
    ]
    registry.rows[f"/{GVISOR}/@latest"] = 429
    with pytest.raises(NoAnswerError, match="HTTP 429"):
        goproxy.Commits(module(registry, GVISOR)).newer(OLD)


ARCHIVES: dict[str, tuple[int | bytes | str, str]] = {
    "of the main branch": (
        registries.archive(["535.129.03"], branch="BUILD"),
        "not of gVisor's go branch",
    ),
    "with no driver": (registries.archive([]), "names no driver"),
    "no zip": (b"PK\3\4 and no more", "no zip file"),
    "cut": ("cut", "127.0.0.1"),
    "gone": (403, "HTTP 403"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_tells_no_drivers_is_a_fault(name: str, registry: Registry) -> None:
    registry.module(GVISOR, {NEW: DAY}, registries.archive(["535.129.03"]))
    assert goproxy.Commits(module(registry, GVISOR)).newer(OLD)[0].fault == ""
    row, words = ARCHIVES[name]
    registry.rows[f"/{GVISOR}/@v/{NEW}.zip"] = row
    (offer,) = goproxy.Commits(module(registry, GVISOR)).newer(OLD)
    assert words in offer.fault
    assert offer.contract is None


def test_wheels_with_date_size_and_digest(registry: Registry) -> None:
    registry.project(
        "nvidia-cuda-runtime-cu12",
        [wheel("12.8.57"), wheel("12.8.90", hashes={"sha256": "b" * 64}), wheel("12.9.79")],
    )
    offers = pypi.Wheels(registry.address, "nvidia-cuda-runtime-cu12").newer("12.8.57")
    assert [offer.version for offer in offers] == ["12.9.79", "12.8.90"]
    assert (offers[1].digest, offers[1].size, offers[1].fault) == ("b" * 64, 954765, "")
    assert offers[1].published
    assert registry.sent[0]["Accept"] == "application/vnd.pypi.simple.v1+json"


WHEELS: dict[str, dict[str, object]] = {
    "taken back": {"yanked": "broken"},
    "for another machine": {
        "filename": "nvidia_cuda_runtime_cu12-12.8.90-py3-none-manylinux2014_aarch64.whl"
    },
    "a candidate": {
        "filename": "nvidia_cuda_runtime_cu12-12.8.90rc1-py3-none-manylinux2014_x86_64.whl"
    },
    "a source": {"filename": "nvidia-cuda-runtime-cu12-12.8.90.tar.gz"},
}


@pytest.mark.parametrize("name", WHEELS)
def test_other_wheels_are_no_offers(name: str, registry: Registry) -> None:
    registry.project("nvidia-cuda-runtime-cu12", [wheel("12.8.90", **WHEELS[name])])
    assert pypi.Wheels(registry.address, "nvidia-cuda-runtime-cu12").newer("12.8.57") == []


def test_a_wheel_without_digest_is_a_fault(registry: Registry) -> None:
    registry.project("nvidia-cuda-runtime-cu12", [wheel("12.8.90", hashes={"md5": "b" * 32})])
    (offer,) = pypi.Wheels(registry.address, "nvidia-cuda-runtime-cu12").newer("12.8.57")
    assert offer.fault == "the index gives no SHA-256 of its wheel"


@pytest.mark.parametrize("name", FAULTS)
def test_an_index_that_fails_is_told(name: str, registry: Registry) -> None:
    row, words = FAULTS[name]
    registry.rows["/nvidia-cuda-runtime-cu12/"] = row
    with pytest.raises(NoAnswerError) as caught:
        pypi.Wheels(registry.address, "nvidia-cuda-runtime-cu12", 0.2).newer("12.8.57")
    assert words in str(caught.value)


def test_mirrors_are_those_of_the_reader() -> None:
    assert goproxy.chosen({}) == "https://proxy.golang.org"
    assert (
        goproxy.chosen({"GOPROXY": "off|https://one.example/,https://two.example,direct"})
        == "https://one.example"
    )
    assert goproxy.chosen({"GOPROXY": "file:///srv,direct"}) == ""
    assert pypi.chosen({}) == "https://pypi.org/simple"
    assert (
        pypi.chosen({"PIP_INDEX_URL": "https://one.example/simple/"})
        == "https://one.example/simple"
    )
    assert pypi.chosen({"PIP_INDEX_URL": "file:///srv"}) == ""


def test_a_mirror_variable_that_names_none_is_told() -> None:
    with pytest.raises(NoAnswerError, match="GOPROXY names no proxy"):
        goproxy.Releases(goproxy.Module("", RUNC)).newer("v1.5.2")
    with pytest.raises(NoAnswerError, match="PIP_INDEX_URL is no http address"):
        pypi.Wheels("", "x").newer("1.0")


def test_a_password_is_sent_and_never_said(registry: Registry) -> None:
    address = registry.address.replace("http://", "http://me:s%40cret@")
    registry.rows["/there"] = b"yes"
    assert web.get(f"{address}/there", 5.0) == b"yes"
    assert registry.sent[0]["Authorization"] == "Basic bWU6c0BjcmV0"
    for place in (
        f"{address}/none",
        "http://me:s%40cret@127.0.0.1:9/",
        "http://me:s%40cret@127.0.0.1:x/",
    ):
        with pytest.raises(NoAnswerError) as caught:
            web.get(place, 5.0)
        assert "cret" not in str(caught.value)


def test_a_password_does_not_follow_to_another_place(registry: Registry) -> None:
    registry.rows |= {"/here": 302, "/there": b"yes"}
    registry.headers["/here"] = {"Location": f"{registry.address}/there"}
    assert (
        web.get(registry.address.replace("http://", "http://me:secret@") + "/here", 5.0) == b"yes"
    )
    assert ["Authorization" in headers for headers in registry.sent] == [True, False]


def test_too_much_is_not_taken(registry: Registry) -> None:
    registry.rows["/much"] = b"x" * 101
    assert web.get(f"{registry.address}/much", 5.0, 101)
    with pytest.raises(NoAnswerError, match="answers more than"):
        web.get(f"{registry.address}/much", 5.0, 100)


def test_runcs_checksum_is_that_of_its_program(registry: Registry) -> None:
    path = "/opencontainers/runc/releases/download/v1.5.3/runc.sha256sum"
    registry.rows[path] = (
        f"{'c' * 64}  libseccomp.tar.gz\n{'a' * 64} *runc.amd64\n{'b' * 64} *runc.arm64\n".encode()
    )
    assert vendor.RuncRelease(registry.address).digest("1.5.3") == "a" * 64
    registry.rows[path] = f"{'b' * 64} *runc.arm64\n".encode()
    with pytest.raises(NoAnswerError, match=r"no SHA-256 of runc\.amd64 1\.5\.3"):
        vendor.RuncRelease(registry.address).digest("1.5.3")


def test_runscs_checksum_is_written_down_or_asked_for(registry: Registry) -> None:
    digest = hashlib.sha512(b"runsc").hexdigest()
    registry.rows["/gvisor/releases/release/20260901.0/x86_64/runsc.sha512"] = (
        f"{digest}  runsc\n".encode()
    )
    site = vendor.RunscRelease({"20260817.0": "e" * 128}, registry.address)
    assert site.digest("20260817.0") == "e" * 128
    assert registry.asked == []
    assert site.digest("20260901.0") == digest
    with pytest.raises(NoAnswerError, match="HTTP 404"):
        site.digest("20260908.0")


def test_the_digest_of_a_tag(registry: Registry) -> None:
    manifest = "/v2/nvidia/cuda/manifests/12.8.1-base-ubuntu22.04"
    registry.rows |= {"/token": b'{"token": "leave"}', manifest: b"{}"}
    registry.headers[manifest] = {"Docker-Content-Digest": f"sha256:{'d' * 64}"}
    site = vendor.ImageTag("nvidia/cuda", registry.address, registry.address)
    assert site.digest("12.8.1-base-ubuntu22.04") == f"sha256:{'d' * 64}"
    assert registry.sent[-1]["Authorization"] == "Bearer leave"
    assert "manifest.list" in registry.sent[-1]["Accept"]
    registry.headers.clear()
    with pytest.raises(NoAnswerError, match=r"no digest of nvidia/cuda:12\.8\.1"):
        site.digest("12.8.1-base-ubuntu22.04")


def test_apts_answer_for_a_source_is_read() -> None:
    """As apt-get source --print-uris printed it for trixie."""
    text = (
        "'http://deb.debian.org/debian/pool/main/c/criu/criu_4.1.1-1.dsc' criu_4.1.1-1.dsc 2423"
        " SHA256:"
        + "0"
        * 64
        + "\n'http://deb.debian.org/debian/pool/main/c/criu/criu_4.1.1.orig.tar.xz'"
        " criu_4.1.1.orig.tar.xz 1021136"
        " SHA256:f80a66cb3726bb2116266d4759ce3bcbfab7abdb6b6d430bf20dd41911717afe\n"
    )
    match = suite.ARCHIVE.search(text)
    assert match
    assert (match["version"], match["size"], match["sha256"][:8]) == (
        "4.1.1",
        "1021136",
        "f80a66cb",
    )


def test_a_mirror_that_has_no_suite_is_told(pins: Pins, registry: Registry) -> None:
    pin = pins.debian.model_copy(
        update={"mirror": f"{registry.address}/debian", "security": f"{registry.address}/debian"}
    )
    with pytest.raises(NoAnswerError, match=r"127\.0\.0\.1 does not answer \(apt-get update: E: "):
        suite.SourcePackage(pin, "criu").newer("4.1.1")


def test_a_mirror_that_hangs_is_given_up(pins: Pins, registry: Registry) -> None:
    registry.rows["/debian/dists/trixie/InRelease"] = "hang"
    pin = pins.debian.model_copy(
        update={"mirror": f"{registry.address}/debian", "security": f"{registry.address}/debian"}
    )
    with pytest.raises(NoAnswerError, match="does not answer in 1 s"):
        replace(suite.SourcePackage(pin, "criu"), seconds=2.0).newer("4.1.1")


def checksums(registry: Registry) -> list[str]:
    """Which releases of runc a vendor's site was asked about."""
    return [path.split("/")[5] for _, path in registry.asked if "/releases/" in path]


@pytest.mark.parametrize(("answer", "times"), [(404, 3), ("hang", 1)])
def test_a_site_that_says_nothing_is_asked_once(
    answer: int | str, times: int, registry: Registry, pins: Pins
) -> None:
    names = ["v9.5.5", "v9.5.4", "v9.5.3"]
    registry.module(RUNC, dict.fromkeys(names, DAY))
    registry.rows |= {
        f"/opencontainers/runc/releases/download/{name}/runc.sha256sum": answer for name in names
    }
    question = gather.Question(
        "runc", goproxy.Releases(module(registry)), vendor.RuncRelease(registry.address, 0.2)
    )
    answers = gather.ask(pins, [question], gather.facts(ROOT), 20.0)
    (found,) = answers.found
    assert all("so the vendor's digest of 9.5." in offer.fault for offer in found.offers)
    assert checksums(registry) == names[:times]


def test_a_site_is_not_asked_about_what_cannot_be_had(registry: Registry, pins: Pins) -> None:
    registry.module(RUNC, {"v9.5.4": DAY, "v9.5.3": DAY})
    registry.rows[f"/{RUNC}/@v/v9.5.4.info"] = 403
    registry.rows["/opencontainers/runc/releases/download/v9.5.3/runc.sha256sum"] = (
        f"{'a' * 64} *runc.amd64\n".encode()
    )
    question = gather.Question(
        "runc", goproxy.Releases(module(registry)), vendor.RuncRelease(registry.address)
    )
    (found,) = gather.ask(pins, [question], gather.facts(ROOT), 20.0).found
    assert [(offer.vendor, offer.fault[:20]) for offer in found.offers] == [
        ("", "v9.5.4 is listed and"),
        ("a" * 64, ""),
    ]
    assert checksums(registry) == ["v9.5.3"]
