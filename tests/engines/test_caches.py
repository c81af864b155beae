"""Build caches in a registry: they save the compilation, and cannot change an image."""

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.engines import RunningEngine, build
from worker_images.build import record
from worker_images.engine.endpoint import Endpoint

REPOSITORY = "team/cache"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PROGRAM = "usr/local/bin/runsc"


def request(method: str, address: str, data: bytes | None = None, kind: str = "") -> Any:  # noqa: ANN401
    headers = {"Accept": MANIFEST, "Content-Type": kind or "application/octet-stream"}
    made = urllib.request.Request(address, data=data, method=method, headers=headers)  # noqa: S310
    return urllib.request.urlopen(made, timeout=60)  # noqa: S310


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def upload(base: str, data: bytes) -> str:
    """Store a blob; return its digest."""
    with request("POST", f"{base}/blobs/uploads/", b"") as begun:
        place = begun.headers["Location"]
    mark = "&" if "?" in place else "?"
    with request("PUT", f"{place}{mark}digest={digest(data)}", data):
        return digest(data)


def poisoned(layer: bytes) -> bytes | None:
    """The tar of a layer with another runsc; None for one that has no runsc."""
    changed, out = False, io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(layer)) as old,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            file = old.extractfile(member) if member.isfile() else None
            data = file.read() if file else None
            if data and member.name.endswith(PROGRAM):
                changed, data = True, data + b"another program"
                member.size = len(data)
            new.addfile(member, io.BytesIO(data) if data is not None else None)
    return out.getvalue() if changed else None


def poison(registry: str) -> int:
    """Replace runsc in all layers of the cache, as one who can write to its registry could."""
    base = f"http://{registry}/v2/{REPOSITORY}"
    manifest = json.load(request("GET", f"{base}/manifests/slim"))
    text = request("GET", f"{base}/blobs/{manifest['config']['digest']}").read().decode()
    count = 0
    for layer in manifest["layers"]:
        plain = gzip.decompress(request("GET", f"{base}/blobs/{layer['digest']}").read())
        if new := poisoned(plain):
            data, count = gzip.compress(new), count + 1
            text = text.replace(layer["digest"], digest(data)).replace(digest(plain), digest(new))
            layer |= {"digest": upload(base, data), "size": len(data)}
            layer["annotations"]["containerd.io/uncompressed"] = digest(new)
    manifest["config"] |= {"digest": upload(base, text.encode()), "size": len(text)}
    request("PUT", f"{base}/manifests/slim", json.dumps(manifest).encode(), MANIFEST).close()
    return count


@pytest.fixture
def cached(
    checkout: Path, docker: RunningEngine, endpoint: Endpoint, registry: str, tmp_path: Path
) -> Iterator[str]:
    """The repository of a cache that a build with Docker wrote, whose builder is now empty."""
    repository = f"{registry}/{REPOSITORY}"
    built = build(checkout, docker, "--cache-to", repository)
    assert built.returncode == 0, built.stderr
    (checkout / "out/slim").rename(tmp_path / "slim")
    prune(docker, endpoint)
    yield repository
    # The builder keeps what it took from a cache.
    prune(docker, endpoint)
    shutil.rmtree(checkout / "out/slim", ignore_errors=True)
    (tmp_path / "slim").rename(checkout / "out/slim")


def prune(docker: RunningEngine, endpoint: Endpoint) -> None:
    """Empty the builder."""
    command = [*endpoint.buildx, "prune", "--all", "--force"]
    subprocess.run(command, env=docker.environment, capture_output=True, check=True)


def test_cache_saves_the_compilation_but_cannot_change_the_image(
    cached: str,
    checkout: Path,
    docker: RunningEngine,
    registry: str,
    endpoint: Endpoint,
    tmp_path: Path,
) -> None:
    """The ledger has the digest of each layer: other bytes fail, and nothing is tagged."""
    built = build(checkout, docker, "--cache-from", cached)
    assert built.returncode == 0, built.stderr
    compiled = record.manifest(tmp_path / "slim/image.tar")[1]
    assert record.manifest(checkout / "out/slim/image.tar")[1] == compiled
    log = (checkout / "out/slim/build.log").read_text()
    step = re.search(r"^(#[0-9]+) .* go build ", log, re.MULTILINE)
    assert step
    assert f"{step[1]} CACHED" in log

    shutil.rmtree(checkout / "out/slim")
    prune(docker, endpoint)
    assert poison(registry) >= 1
    wrong = build(checkout, docker, "--cache-from", cached)
    assert wrong.returncode == 5, wrong.stderr
    assert "not the reviewed bytes" in wrong.stderr
    assert "the tag is unchanged" in wrong.stderr
    assert "docker buildx prune --all" in wrong.stderr
    assert not (checkout / "out/slim/build.json").exists()
