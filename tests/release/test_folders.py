"""Does verify-release list every fault of a broken OCI folder?"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import small_releases
from tests.support.small_releases import PARTS, Factory, parts
from worker_images.errors import PolicyError, RegistryError
from worker_images.release import folder, layout, verify
from worker_images.release.drafts import Draft
from worker_images.release.layout import Layout
from worker_images.release.registry import as_json
from worker_images.release.tree import MAX_DEPTH

ADVICE = "attestations are missing: copy a release with `oras cp --recursive`"


@pytest.fixture
def draft(factory: Factory) -> Draft:
    return factory.draft()


@pytest.fixture
def local(factory: Factory, draft: Draft) -> Layout:
    """A sound release in a folder."""
    return small_releases.composed(factory, draft)


def refused(local: Layout, factory: Factory, reference: str = ":1.0-slim") -> list[str]:
    """The faults that verify-release lists."""
    place = layout.repository(factory.tools, local)
    with pytest.raises(PolicyError) as found:
        verify.verify(place, reference, factory.verifier, (), lambda _: None)
    first, *faults, last = str(found.value).splitlines()
    if faults[-1].startswith("attestations are missing: "):
        assert faults.pop() == ADVICE
    assert first == f"oci:{local.folder}{reference} does not verify:"
    assert last == "do not use this image"
    return faults


def check_absent(local: Layout, factory: Factory, reference: str) -> None:
    """A name that does not exist ends with exit code 6, as in a registry."""
    message = f"oci:{local.folder}{reference}: not found in index.json; name a tag, or the digest"
    with pytest.raises(RegistryError, match=re.escape(message)):
        refused(local, factory, reference)


SMALL = {"index", "manifest", "attestation"}


def sort(part: str) -> str:
    return "manifest" if part in SMALL else "blob"


def check_only(faults: list[str], first: str) -> None:
    """A fault, and at most the statement that is lost with it."""
    assert faults[0] == first
    assert all(each.startswith("no ") for each in faults[1:]), faults


def test_sound_folder_verifies(local: Layout, factory: Factory, draft: Draft) -> None:
    """A control of all refusals, by tag and by digest."""
    place = layout.repository(factory.tools, local)
    for reference in (":1.0-slim", f"@{draft.digest}"):
        found = verify.verify(place, reference, factory.verifier, (), lambda _: None)
        assert len(found.statements) == 4


@pytest.mark.parametrize("part", PARTS)
def test_missing_blob_is_named(part: str, local: Layout, factory: Factory, draft: Draft) -> None:
    digest = parts(local, draft)[part]
    local.path(digest).unlink()
    check_only(refused(local, factory), f"{sort(part)} {digest} is missing")


@pytest.mark.parametrize("part", PARTS)
def test_truncated_blob_is_named(part: str, local: Layout, factory: Factory, draft: Draft) -> None:
    digest = parts(local, draft)[part]
    data = local.path(digest).read_bytes()
    local.path(digest).write_bytes(data[:-1])
    reason = ": its bytes do not match its digest"
    if part not in SMALL:
        reason = f" has {len(data) - 1} bytes instead of {len(data)}"
    check_only(refused(local, factory), f"{sort(part)} {digest}{reason}")


@pytest.mark.parametrize("part", PARTS)
def test_blob_with_other_bytes_is_named(
    part: str, local: Layout, factory: Factory, draft: Draft
) -> None:
    digest = parts(local, draft)[part]
    data = local.path(digest).read_bytes()
    local.path(digest).write_bytes(bytes([data[0] ^ 1]) + data[1:])
    fault = f"{sort(part)} {digest}: its bytes do not match its digest"
    check_only(refused(local, factory), fault)


def test_every_fault_of_a_folder_is_listed(local: Layout, factory: Factory, draft: Draft) -> None:
    """A missing layer, a truncated configuration, a changed bundle: one command names all."""
    named = parts(local, draft)
    local.path(named["layer"]).unlink()
    local.path(named["configuration"]).write_bytes(b"")
    bundle = local.path(named["bundle"])
    bundle.write_bytes(bundle.read_bytes().replace(b"{", b"[", 1))
    faults = refused(local, factory)
    for part in ("layer", "configuration", "bundle"):
        assert sum(named[part] in each for each in faults) == 1, faults
    assert len(faults) == 3


def _entries(local: Layout, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = local.folder / "index.json"
    found = json.loads(path.read_bytes())
    change(found["manifests"])
    path.write_text(json.dumps(found))


def test_missing_entries_of_index_json_are_named(
    local: Layout, factory: Factory, draft: Draft
) -> None:
    """The message speaks of a folder: a folder has no registry to look at."""
    _entries(local, lambda entries: entries.pop(-1))
    assert len(refused(local, factory)) == 1
    check_absent(local, factory, ":2.0-slim")
    _entries(local, lambda entries: entries.clear())
    for reference in (":1.0-slim", f"@{draft.digest}"):
        check_absent(local, factory, reference)


def test_entries_of_index_json_with_one_name_are_refused(local: Layout, factory: Factory) -> None:
    """Two tools may take another one. An entry without a name has none, not even "None"."""
    check_absent(local, factory, ":None")
    name = {"annotations": {layout.NAME: "1.0-slim"}}
    _entries(local, lambda entries: entries[1].update(name))
    (fault,) = refused(local, factory)
    assert fault == "index.json has several entries 1.0-slim; use its digest"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "index.json: not JSON"),
        (b"{", "index.json: not JSON"),
        (b"[]", "index.json: not an object"),
        (b'{"manifests": 1}', "index.json: not a manifest"),
        (b'{"manifests": [{"digest": "../../x", "size": 1}]}', "index.json: not a manifest"),
        (b'{"manifests": [{"digest": "sha256:%b"}]}' % (64 * b"0"), "index.json: not a manifest"),
        (b'{"a": 1, "a": 2}', "index.json: duplicate key a"),
        (b" " * ((4 << 20) + 1), "index.json is larger than 4194304 bytes"),
    ],
)
def test_malformed_index_json_is_refused(
    data: bytes, fault: str, local: Layout, factory: Factory
) -> None:
    (local.folder / "index.json").write_bytes(data)
    (found,) = refused(local, factory)
    assert found.startswith(fault)


def test_malformed_manifest_is_refused(local: Layout, factory: Factory) -> None:
    """Its digest is that of its bytes."""
    entry = local.add(layout.INDEX, b'{"manifests": 1}')
    place = local.with_entries(entry)
    reference = f"@{entry['digest']}"
    assert refused(place, factory, reference)[0] == f"manifest {entry['digest']}: not a manifest"


def test_folder_of_nested_indexes_is_refused(local: Layout, factory: Factory) -> None:
    """An index that index.json names may hold attestations; far below, none is searched."""
    entry = local.entries[0]
    for _ in range(MAX_DEPTH + 1):
        index = {"schemaVersion": 2, "mediaType": layout.INDEX, "manifests": [entry]}
        entry = local.add(layout.INDEX, as_json(index))
    place = local.with_entries(entry)
    bound = f"{folder.MAX_ENTRIES} manifests, or some deeper than {MAX_DEPTH} levels"
    assert f"index.json names more than {bound}" in refused(place, factory)


def test_folder_of_many_manifests_is_refused(
    local: Layout, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_ENTRIES", len(local.entries) - 1)
    bound = f"index.json names more than {folder.MAX_ENTRIES} manifests"
    assert any(each.startswith(bound) for each in refused(local, factory))


def test_attestations_below_an_index_of_a_folder_are_found(
    local: Layout, factory: Factory, draft: Draft
) -> None:
    """The fallback tag of a registry is such an index."""
    attached = [each for each in local.entries if each["digest"] != draft.digest]
    index = {"schemaVersion": 2, "mediaType": layout.INDEX, "manifests": attached}
    entry = local.add(layout.INDEX, as_json(index))
    place = Layout(local.folder, local.entries[:1]).with_entries(entry)
    source = layout.repository(factory.tools, place)
    found = verify.verify(source, ":1.0-slim", factory.verifier, (), lambda _: None)
    assert len(found.statements) == 4


def test_texts_about_a_folder_name_no_registry(
    local: Layout, factory: Factory, draft: Draft
) -> None:
    """A folder has entries, and neither a registry nor tags."""
    _entries(local, lambda entries: entries[0]["annotations"].update({layout.NAME: "latest"}))
    (local.folder / "oci-layout").rename(local.folder / "moved")
    texts = refused(local, factory, ":latest")
    (local.folder / "moved").rename(local.folder / "oci-layout")
    texts += refused(local, factory, ":latest")
    assert texts == [
        "oci-layout is missing",
        (
            "the entry latest of index.json names the release 1.0 of slim; to verify that release"
            " under another name, use its digest"
        ),
    ]
    check_absent(local, factory, ":1.0-slim")
    local.path(draft.digest).unlink()
    with pytest.raises(RegistryError) as found:
        layout.repository(factory.tools, local).manifest(draft.digest)
    assert str(found.value).endswith("check the folder, then run again")
