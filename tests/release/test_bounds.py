"""Is what an untrusted registry sends bounded before a signature is checked?"""

from collections.abc import Iterator

import pytest

from tests.support.hostile_registry import Hostile, serving
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError
from worker_images.release import registry, tree, verify
from worker_images.release.cosign import BUNDLE
from worker_images.release.layout import MANIFEST, Object, descriptor
from worker_images.release.registry import Repository
from worker_images.release.tree import Bounds

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serving() as found:
        yield found


def faults(hostile: Hostile, factory: Factory, root: Object) -> list[str]:
    place = Repository(factory.tools, f"{hostile.address}/a", plain=True)
    with pytest.raises(PolicyError) as refused:
        verify.verify(place, f"@{root['digest']}", factory.verifier, (), lambda _: None)
    return str(refused.value).splitlines()[1:-1]


def has_bound(found: list[str], bound: str) -> bool:
    return any(bound in each for each in found)


def test_small_index_exceeds_no_bound(hostile: Hostile, factory: Factory) -> None:
    """A control of the refusals: it has no signature, but was read."""
    root = hostile.index(hostile.image())
    found = faults(hostile, factory, root)
    assert "no signature" in found
    assert not any("more than" in each or "longer" in each for each in found)


def test_large_manifest_is_not_read(hostile: Hostile, factory: Factory) -> None:
    root = hostile.index(hostile.image(annotations={"a": "b" * (64 << 20)}))
    assert has_bound(faults(hostile, factory, root), f"{tree.MAX_MANIFEST_BYTES}: size exceeds")
    assert hostile.sent < 8 * tree.MAX_MANIFEST_BYTES


def test_nested_indexes_are_refused(hostile: Hostile, factory: Factory) -> None:
    root = hostile.index(hostile.image())
    for _ in range(20):
        root = hostile.index(root)
    found = faults(hostile, factory, root)
    assert has_bound(found, f"nested deeper than {tree.MAX_DEPTH} levels")
    assert len({line for line in hostile.lines if "/manifests/sha256:" in line}) < 20


def test_index_of_many_manifests_is_refused(hostile: Hostile, factory: Factory) -> None:
    most = tree.IMAGES.manifests
    images = [hostile.image(annotations={"n": str(number)}) for number in range(most)]
    found = faults(hostile, factory, hostile.index(*images))
    assert has_bound(found, f"names more than {most} manifests")


def test_image_of_many_blobs_is_refused(hostile: Hostile, factory: Factory) -> None:
    most = tree.IMAGES.blobs
    layers = [descriptor(LAYER, f"sha256:{number:064x}", 1) for number in range(most)]
    found = faults(hostile, factory, hostile.index(hostile.image(*layers)))
    assert has_bound(found, f"names more than {most} blobs")
    assert not any("/blobs/" in line for line in hostile.lines)


def test_image_of_large_layers_is_not_copied(hostile: Hostile, factory: Factory) -> None:
    """The sizes in the manifest are added up before a blob is read."""
    size = tree.IMAGES.size
    layers = [descriptor(LAYER, f"sha256:{number:064x}", size // 2) for number in range(2)]
    found = faults(hostile, factory, hostile.index(hostile.image(*layers)))
    assert has_bound(found, f"more than {size}")
    assert not any("/blobs/" in line for line in hostile.lines)


def test_blob_that_is_larger_than_its_descriptor_is_not_read(
    hostile: Hostile, factory: Factory
) -> None:
    layer = hostile.put(LAYER, b"0" * (32 << 20))
    image = hostile.image(layer | {"size": 10})
    found = faults(hostile, factory, hostile.index(image))
    assert has_bound(found, f"blob {layer['digest']} has {32 << 20} bytes instead of 10")
    assert hostile.sent < 8 << 20


def test_manifest_that_is_named_often_is_read_once(hostile: Hostile, factory: Factory) -> None:
    """Two indexes that name each other's child twice would double with every level."""
    child = hostile.image()
    pair = [hostile.index(child, child), hostile.index(child, child | {"platform": {}})]
    faults(hostile, factory, hostile.index(*pair, *pair))
    line = f"GET /v2/a/manifests/{child['digest']}"
    assert 1 <= hostile.lines.count(line) <= 2


def test_many_referrers_are_not_read(hostile: Hostile, factory: Factory) -> None:
    root = hostile.index(hostile.image())
    count = tree.MAX_REFERRERS + 1
    hostile.referrers = [descriptor(MANIFEST, f"sha256:{n:064x}", 1) for n in range(count)]
    found = faults(hostile, factory, root)
    assert has_bound(found, f"it has {count} referrers, more than {tree.MAX_REFERRERS}")
    assert not any(hostile.referrers[0]["digest"] in line for line in hostile.lines)


def test_list_of_referrers_without_end_is_refused(
    hostile: Hostile, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LISTING_SECONDS", 2.0)
    root = hostile.index(hostile.image())
    hostile.endless = True
    assert has_bound(faults(hostile, factory, root), "it takes longer than 2 s")


def attached(hostile: Hostile, root: Object, **changes: object) -> Object:
    subject = {"subject": root, "artifactType": BUNDLE}
    entry = hostile.image(*[hostile.put(BUNDLE, b"{}")], **{**subject, **changes})
    hostile.referrers = [entry | {"artifactType": changes.get("artifactType", BUNDLE)}]
    return entry


def test_large_bundle_is_not_copied(hostile: Hostile, factory: Factory) -> None:
    root = hostile.index(hostile.image())
    bundle = hostile.put(BUNDLE, b"0" * (tree.BUNDLE.size + 1))
    attached(hostile, root, layers=[bundle])
    assert has_bound(faults(hostile, factory, root), f"bytes, more than {tree.BUNDLE.size}")
    assert hostile.sent < tree.BUNDLE.size


def test_large_attachment_of_another_kind_is_not_read(hostile: Hostile, factory: Factory) -> None:
    """What a scanner attaches is no fault."""
    root = hostile.index(hostile.image())
    report = hostile.put("text/plain", b"0" * (tree.BUNDLE.size + 1))
    attached(hostile, root, artifactType="text/plain", layers=[report])
    found = faults(hostile, factory, root)
    assert not any("more than" in each for each in found), found
    assert hostile.sent < tree.BUNDLE.size


@pytest.mark.parametrize("key", ["manifests", "subject"])
def test_bundle_that_names_other_manifests_is_refused(
    key: str, hostile: Hostile, factory: Factory
) -> None:
    """oras would copy them."""
    root, other = hostile.index(hostile.image()), hostile.image(annotations={"a": "b"})
    attached(hostile, root, **{key: [other] if key == "manifests" else other})
    assert has_bound(faults(hostile, factory, root), "names more than 1 manifests")
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
