"""Does each fault of a host end a build with exit code 3, its cause and a way out?"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.upstream import checkout, hosts
from tests.upstream.stand_in import StandIn
from worker_images.errors import FetchError

Fault = Mapping[str, object]
RELEASE = "/gvisor/releases/release/"
NETWORK = "check the network, proxies"
# The engine keeps what it receives for a digest: this one is that of no image.
UNKNOWN = f"sha256:{'1' * 64}"
GONE = "pin another version in versions.yaml"


@dataclass(frozen=True)
class Expected:
    """A fault, and what the message must name."""

    fault: Fault
    texts: tuple[str, ...]


# Of a file that this program downloads.
FILES: Mapping[str, Expected] = {
    "host away": Expected(
        {"host": hosts.BUCKET, "kind": "away"}, ("Name or service not known", NETWORK)
    ),
    "gone": Expected({"host": hosts.BUCKET, "kind": "404"}, ("HTTP 404", GONE)),
    "other bytes": Expected(
        {"host": hosts.BUCKET, "kind": "flip"}, ("got sha512:", "not the pinned bytes")
    ),
    "truncated": Expected({"host": hosts.BUCKET, "kind": "cut"}, ("broke off", NETWORK)),
    "rate limit": Expected({"host": hosts.BUCKET, "kind": "429 Retry-After: 1"}, ("HTTP 429",)),
    "another host": Expected(
        {"host": hosts.BUCKET, "kind": f"to https://{hosts.OTHER}/runsc"},
        (f"redirected to https://{hosts.OTHER}", "WORKER_IMAGES_REDIRECT_HOSTS"),
    ),
    "expired certificate": Expected(
        {"host": hosts.BUCKET, "kind": "expired"}, ("certificate has expired", NETWORK)
    ),
}
# Of images, which the engine pulls.
IMAGES: Mapping[str, Expected] = {
    "registry away": Expected({"host": hosts.HUB, "kind": "away"}, ("no such host", NETWORK)),
    "deleted tag": Expected(
        {"host": hosts.HUB, "path": "/nvidia/cuda/manifests/", "kind": "404"},
        ("nvidia/cuda:12.8.0", "pin the tag and digest of another one"),
    ),
    "rate limit": Expected(
        {"host": hosts.HUB, "path": "/manifests/", "kind": "429"}, ("docker login",)
    ),
    "other bytes": Expected(
        {"host": hosts.HUB, "path": UNKNOWN, "kind": "instead 12.8.0-base-ubuntu22.04"},
        (UNKNOWN, "not the pinned bytes"),
    ),
}
# Of apt's repositories.
PACKAGES: Mapping[str, Expected] = {
    "archive away": Expected({"host": hosts.DEBIAN, "kind": "away"}, (NETWORK,)),
    "truncated package": Expected(
        {"host": hosts.DEBIAN, "path": r"\.deb$", "kind": "flip"}, ("middle of an update",)
    ),
    "rotated key": Expected(
        {"host": hosts.NVIDIA, "path": "InRelease$", "kind": "instead InRelease.other"},
        ("check it and pin its digest",),
    ),
}


def failed(upstream: StandIn, folder: Path, variant: str, fault: Fault, *texts: str) -> None:
    """Build with a fault; the build must fail as documented and leave nothing."""
    with upstream.internet.faults(fault):
        done = upstream.build(folder, "--variant", variant, "--no-test", "--no-cache")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == FetchError.exit_code, last
    assert last.startswith("build.py: ")
    assert not [text for text in texts if text not in last], last
    store = upstream.internet.cache / "worker-images"
    assert not [*store.glob("files/part-*"), *(folder / "out").glob("*/image.tar")]


@pytest.fixture
def empty_store(upstream: StandIn) -> Path:
    """The folder of downloaded files, without files."""
    folder = upstream.internet.cache / "worker-images/files"
    for path in folder.glob("*"):
        path.unlink()
    return folder


@pytest.mark.parametrize("name", FILES)
def test_fault_of_a_file_ends_the_build(
    name: str, upstream: StandIn, faulty_checkout: Path, empty_store: Path
) -> None:
    """Nothing is written to the store."""
    expected = FILES[name]
    failed(upstream, faulty_checkout, "slim", expected.fault, "runsc", *expected.texts)
    assert not [*empty_store.glob("*")]


@pytest.fixture(scope="module")
def unknown_image(upstream: StandIn) -> Path:
    """A checkout that pins an image that the engine does not have."""
    folder = upstream.checkout("unknown-image")
    checkout.edit(folder, {upstream.digests.cuda: UNKNOWN})
    return folder


@pytest.mark.parametrize("name", IMAGES)
def test_fault_of_an_image_ends_the_build(
    name: str, upstream: StandIn, unknown_image: Path
) -> None:
    failed(upstream, unknown_image, "full", IMAGES[name].fault, *IMAGES[name].texts)


@pytest.mark.parametrize("name", PACKAGES)
def test_fault_of_a_repository_ends_the_build(
    name: str, upstream: StandIn, faulty_checkout: Path
) -> None:
    failed(upstream, faulty_checkout, "full", PACKAGES[name].fault, *PACKAGES[name].texts)


def test_engine_forgets_other_bytes_after_a_prune(upstream: StandIn, faulty_checkout: Path) -> None:
    """The engine continues a pull where it stopped, also that of wrong bytes."""
    upstream.docker("builder", "prune", "--all", "--force")
    bytes_ = {"host": hosts.HUB, "path": "/nvidia/cuda/manifests/", "kind": "flip"}
    away = {"host": hosts.DEBIAN, "kind": "away"}
    prune = "docker builder prune --all"
    failed(upstream, faulty_checkout, "full", bytes_, "not the pinned bytes", prune)
    failed(upstream, faulty_checkout, "full", away, "not the pinned bytes", prune)
    upstream.docker("builder", "prune", "--all", "--force")
    failed(upstream, faulty_checkout, "full", away, "E: Failed to fetch http://deb.debian.org")


def test_machine_without_certificates_uses_those_of_debian(
    upstream: StandIn, faulty_checkout: Path
) -> None:
    """They do not have the CA of the stand-ins: apt refuses the host, and names it."""
    upstream.docker("builder", "prune", "--all", "--force")
    printed = upstream.build(faulty_checkout, "--variant", "full", "--print", "bake")
    file = json.loads(printed.stdout)
    for target in file["target"].values():
        del target["secret"]
    (faulty_checkout / "bake.json").write_text(json.dumps(file))
    docker = str(upstream.internet.engine / "bin/docker")
    command = [docker, "buildx", "bake", "--file", "bake.json", "--progress", "plain"]
    done = upstream.internet.run(*command, folder=faulty_checkout)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if f"https://{hosts.NVIDIA}" in line]
    assert [line for line in lines if "certificate verify failed" in line], lines


def test_package_version_that_is_gone_is_named(upstream: StandIn) -> None:
    folder = upstream.checkout("gone")
    checkout.edit(folder, {'    version: "1.20.1"': '    version: "1.19.9"'})
    failed(
        upstream, folder, "full", {"host": hosts.OTHER, "kind": "404"}, "1.19.9", "pin a version"
    )


def test_wait_of_a_rate_limit_is_kept(
    upstream: StandIn, unknown_image: Path, empty_store: Path
) -> None:
    """After the seconds of Retry-After the download succeeds; a missing image ends the build."""
    limit = {"host": hosts.BUCKET, "kind": "429 Retry-After: 3", "times": 1}
    begun = time.monotonic()
    with upstream.internet.faults(limit):
        done = upstream.build(unknown_image, "--variant", "full", "--no-test")
    assert done.returncode == FetchError.exit_code
    assert UNKNOWN in done.stderr
    assert time.monotonic() - begun >= 3
    assert len([*empty_store.glob("sha512-*")]) == 1
