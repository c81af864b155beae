"""Is what an untrusted registry sends bounded before a signature is checked?"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.support.loopback import Loopback, background
from tests.support.small_releases import Workshop
from worker_images.errors import PolicyError
from worker_images.release import layout, registry, tree, verify
from worker_images.release.cosign import BUNDLE
from worker_images.release.layout import INDEX, MANIFEST, Object, descriptor
from worker_images.release.registry import Repository, as_json
from worker_images.release.tree import Bounds

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class Hostile:
    """A registry with what a test puts into it, and the number of bytes that it sent."""

    documents: dict[str, bytes] = field(default_factory=dict)
    referrers: list[Object] = field(default_factory=list)
    endless: bool = False
    sent: int = 0
    lines: list[str] = field(default_factory=list)
    address: str = ""

    def add(self, kind: str, found: dict[str, Any]) -> Object:
        """Hold a manifest; return its descriptor."""
        return self.put(kind, as_json({"schemaVersion": 2, "mediaType": kind, **found}))

    def put(self, kind: str, data: bytes) -> Object:
        """Hold a blob; return its descriptor."""
        entry = descriptor(kind, layout.digest_of(data), len(data))
        self.documents[entry["digest"]] = data
        return entry

    def index(self, *entries: Object) -> Object:
        """Hold an index; return its descriptor."""
        return self.add(INDEX, {"manifests": [*entries]})

    def image(self, *layers: Object, **others: object) -> Object:
        """Hold the manifest of an image; return its descriptor."""
        config = self.put(layout.EMPTY_TYPE, layout.EMPTY)
        return self.add(MANIFEST, {"config": config, "layers": [*layers], **others})

    def response(self, path: str) -> tuple[str, bytes]:
        """The type and the content of a response; empty if there is none."""
        name = path.partition("?")[0].rpartition("/")[2]
        if "/referrers/" in path:
            return INDEX, as_json({"schemaVersion": 2, "mediaType": INDEX, **self._page()})
        data = self.documents.get(name, b"")
        return str(json.loads(data).get("mediaType", INDEX)) if data[:1] == b"{" else "", data

    def _page(self) -> Object:
        return {"manifests": self.referrers}


class Handler(BaseHTTPRequestHandler):
    """Sends what a Hostile holds."""

    hostile: Hostile

    def do_GET(self) -> None:
        self.hostile.lines.append(f"{self.command} {self.path}")
        kind, data = self.hostile.response(self.path)
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        if data:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.send_header("Docker-Content-Digest", digest)
        if self.hostile.endless:
            self.send_header("Link", f'<{self.path}?n={len(self.hostile.lines)}>; rel="next"')
        self.end_headers()
        if self.command == "GET":
            self.hostile.sent += self._send(data)

    def _send(self, data: bytes) -> int:
        size = 1 << 16
        for start in range(0, len(data), size):
            try:
                self.wfile.write(data[start : start + size])
            except OSError:
                return start
        return len(data)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextmanager
def serving() -> Iterator[Hostile]:
    handler = type("Bound", (Handler,), {})
    with Loopback(handler) as server:
        found = Hostile(address=f"127.0.0.1:{server.server_port}")
        handler.hostile = found  # type: ignore[attr-defined]
        with background(server):
            yield found


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serving() as found:
        yield found


def faults(hostile: Hostile, workshop: Workshop, root: Object) -> list[str]:
    place = Repository(workshop.tools, f"{hostile.address}/a", plain=True)
    with pytest.raises(PolicyError) as refused:
        verify.verify(place, f"@{root['digest']}", workshop.verifier, (), lambda _: None)
    return str(refused.value).splitlines()[1:-1]


def has_bound(found: list[str], bound: str) -> bool:
    return any(bound in each for each in found)


def test_small_index_exceeds_no_bound(hostile: Hostile, workshop: Workshop) -> None:
    """A control of the refusals: it has no signature, but was read."""
    root = hostile.index(hostile.image())
    found = faults(hostile, workshop, root)
    assert "no signature" in found
    assert not any("more than" in each or "longer" in each for each in found)


def test_large_manifest_is_not_read(hostile: Hostile, workshop: Workshop) -> None:
    root = hostile.index(hostile.image(annotations={"a": "b" * (64 << 20)}))
    assert has_bound(faults(hostile, workshop, root), f"{tree.MAX_MANIFEST_BYTES}: size exceeds")
    assert hostile.sent < 8 * tree.MAX_MANIFEST_BYTES


def test_nested_indexes_are_refused(hostile: Hostile, workshop: Workshop) -> None:
    root = hostile.index(hostile.image())
    for _ in range(20):
        root = hostile.index(root)
    found = faults(hostile, workshop, root)
    assert has_bound(found, f"nested deeper than {tree.MAX_DEPTH} levels")
    assert len({line for line in hostile.lines if "/manifests/sha256:" in line}) < 20


def test_index_of_many_manifests_is_refused(hostile: Hostile, workshop: Workshop) -> None:
    most = tree.IMAGES.manifests
    images = [hostile.image(annotations={"n": str(number)}) for number in range(most)]
    found = faults(hostile, workshop, hostile.index(*images))
    assert has_bound(found, f"names more than {most} manifests")


def test_image_of_many_blobs_is_refused(hostile: Hostile, workshop: Workshop) -> None:
    most = tree.IMAGES.blobs
    layers = [descriptor(LAYER, f"sha256:{number:064x}", 1) for number in range(most)]
    found = faults(hostile, workshop, hostile.index(hostile.image(*layers)))
    assert has_bound(found, f"names more than {most} blobs")
    assert not any("/blobs/" in line for line in hostile.lines)


def test_image_of_large_layers_is_not_copied(hostile: Hostile, workshop: Workshop) -> None:
    """The sizes in the manifest are added up before a blob is read."""
    size = tree.IMAGES.size
    layers = [descriptor(LAYER, f"sha256:{number:064x}", size // 2) for number in range(2)]
    found = faults(hostile, workshop, hostile.index(hostile.image(*layers)))
    assert has_bound(found, f"more than {size}")
    assert not any("/blobs/" in line for line in hostile.lines)


def test_blob_that_is_larger_than_its_descriptor_is_not_read(
    hostile: Hostile, workshop: Workshop
) -> None:
    layer = hostile.put(LAYER, b"0" * (32 << 20))
    image = hostile.image(layer | {"size": 10})
    found = faults(hostile, workshop, hostile.index(image))
    assert has_bound(found, "mismatch Content-Length; bytes do not match their digest")
    assert hostile.sent < 8 << 20


def test_manifest_that_is_named_often_is_read_once(hostile: Hostile, workshop: Workshop) -> None:
    """Two indexes that name each other's child twice would double with every level."""
    child = hostile.image()
    pair = [hostile.index(child, child), hostile.index(child, child | {"platform": {}})]
    faults(hostile, workshop, hostile.index(*pair, *pair))
    line = f"GET /v2/a/manifests/{child['digest']}"
    assert 1 <= hostile.lines.count(line) <= 2


def test_many_referrers_are_not_read(hostile: Hostile, workshop: Workshop) -> None:
    root = hostile.index(hostile.image())
    count = tree.MAX_REFERRERS + 1
    hostile.referrers = [descriptor(MANIFEST, f"sha256:{n:064x}", 1) for n in range(count)]
    found = faults(hostile, workshop, root)
    assert has_bound(found, f"it has {count} referrers, more than {tree.MAX_REFERRERS}")
    assert not any(hostile.referrers[0]["digest"] in line for line in hostile.lines)


def test_list_of_referrers_without_end_is_refused(
    hostile: Hostile, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LISTING_SECONDS", 2.0)
    root = hostile.index(hostile.image())
    hostile.endless = True
    assert has_bound(faults(hostile, workshop, root), "it takes longer than 2 s")


def attached(hostile: Hostile, root: Object, **changes: object) -> Object:
    subject = {"subject": root, "artifactType": BUNDLE}
    entry = hostile.image(*[hostile.put(BUNDLE, b"{}")], **{**subject, **changes})
    hostile.referrers = [entry | {"artifactType": changes.get("artifactType", BUNDLE)}]
    return entry


def test_large_bundle_is_not_copied(hostile: Hostile, workshop: Workshop) -> None:
    root = hostile.index(hostile.image())
    bundle = hostile.put(BUNDLE, b"0" * (tree.BUNDLE.size + 1))
    attached(hostile, root, layers=[bundle])
    assert has_bound(faults(hostile, workshop, root), f"bytes, more than {tree.BUNDLE.size}")
    assert hostile.sent < tree.BUNDLE.size


def test_large_attachment_of_another_kind_is_not_read(hostile: Hostile, workshop: Workshop) -> None:
    """What a scanner attaches is no fault."""
    root = hostile.index(hostile.image())
    report = hostile.put("text/plain", b"0" * (tree.BUNDLE.size + 1))
    attached(hostile, root, artifactType="text/plain", layers=[report])
    found = faults(hostile, workshop, root)
    assert not any("more than" in each for each in found), found
    assert hostile.sent < tree.BUNDLE.size


@pytest.mark.parametrize("key", ["manifests", "subject"])
def test_bundle_that_names_other_manifests_is_refused(
    key: str, hostile: Hostile, workshop: Workshop
) -> None:
    """oras would copy them."""
    root, other = hostile.index(hostile.image()), hostile.image(annotations={"a": "b"})
    attached(hostile, root, **{key: [other] if key == "manifests" else other})
    assert has_bound(faults(hostile, workshop, root), "names more than 1 manifests")
    assert not any(other["digest"] in line for line in hostile.lines)


def test_tree_reads_each_manifest_once_and_stops_at_a_bound() -> None:
    """No registry is needed: `fetch` gives the bytes."""
    hostile, reads = Hostile(), list[str]()
    child = hostile.image()
    root = hostile.index(child, child, child)

    def fetch(digest: str) -> bytes:
        reads.append(digest)
        return hostile.documents[digest]

    assert tree.walk(fetch, root["digest"], tree.IMAGES).faults == []
    assert reads == [root["digest"], child["digest"]]
    reads.clear()
    (fault,) = tree.walk(fetch, root["digest"], Bounds(1, 8, 100)).faults
    assert fault.endswith("it names more than 1 manifests")
    assert reads == [root["digest"]]
