"""Does a release survive the faults of registries, and move no tag when it cannot?"""

from pathlib import Path

import pytest

from tests.support import docker_registry, small_releases
from tests.support.docker_registry import Settings
from tests.support.registry_proxy import ALWAYS, Fault, Proxy, proxying
from tests.support.small_releases import Factory
from worker_images.errors import ImageBuildError, PolicyError, RegistryError
from worker_images.release import registry, verify
from worker_images.release.registry import Repository

WRITES = "^(POST|PUT|PATCH|DELETE)"
BLOBS = "^PUT .*/blobs/uploads/"
# Faults that a release survives.
PASSING = {
    "upload is cut in half": Fault(BLOBS, "half"),
    "connection is reset in an upload": Fault(BLOBS, "reset"),
    "response to a manifest is lost": Fault("PUT .*/manifests/sha256:", "reset", after=True),
    "response to a tag is lost": Fault("PUT .*/manifests/1.0-slim", "reset", after=True),
    "connection is reset in a read": Fault("HEAD .*/manifests/1.0-slim", "reset"),
    "download is truncated": Fault("GET .*/blobs/", "cut"),
    "500 for an upload": Fault("^POST", 500),
    "503 for a manifest": Fault("PUT .*/manifests/sha256:", 503),
    "503 for a tag": Fault("PUT .*/manifests/1.0-slim", 503),
    "429 with Retry-After": Fault("^PUT", 429, headers={"Retry-After": "1"}),
    "a blob that is missing is reported once": Fault("HEAD .*/blobs/", "exists"),
}
# Faults that end a release, the exit code, and a part of the message.
ENDING = {
    "reset in each upload": (Fault(BLOBS, "reset", ALWAYS), 6, "EOF; check the registry's name,"),
    "500 for each manifest": (Fault("PUT .*/manifests/", 500, ALWAYS), 6, "the registry failed;"),
    "503 for the tag": (Fault("PUT .*/manifests/1.0", 503, ALWAYS), 6, "the registry failed;"),
    "429": (Fault("^PUT", 429, ALWAYS, headers={"Retry-After": "0"}), 6, "limits requests; wait"),
    "401 in the middle": (Fault("^PUT", 401, ALWAYS, skip=2), 6, "docker login 127.0.0.1"),
    "403 for a manifest": (Fault("PUT .*/manifests/", 403, ALWAYS), 6, "docker login 127.0.0.1"),
    "a missing blob exists": (Fault("HEAD .*/blobs/", "exists", ALWAYS), 6, "blob unknown"),
    "a child is dropped": (Fault("PUT .*/manifests/sha256:", "drop"), 6, "not found"),
    "the index is dropped": (Fault("PUT .*/manifests/sha256:", "drop", skip=1), 6, "not found"),
    "attestations are dropped": (Fault("PUT .*/sha256-", "drop", ALWAYS), 7, "no signature"),
    "the tag is dropped": (Fault("PUT .*/manifests/1.0", "drop"), 6, "accepted this tag and does"),
    "another digest": (Fault("PUT .*/manifests/", "digest"), 7, "do not match their digest"),
    "another manifest": (Fault("GET .*/manifests/", "flip", ALWAYS), 7, "do not match their"),
    "another blob": (Fault("GET .*/blobs/", "flip", ALWAYS), 7, "do not match their digest"),
}


def tags(repository: Repository) -> list[str]:
    return [tag for tag in ("slim", "1.0-slim") if repository.resolve(f":{tag}")]


@pytest.mark.parametrize("fault", PASSING)
def test_release_survives_a_passing_fault(
    fault: str, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    proxy.faults = [PASSING[fault].again()]
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    assert proxy.faults[0].times == 0, "the fault did not happen"
    assert repository.resolve(":1.0-slim") == repository.resolve(":slim") == draft.digest


@pytest.mark.parametrize("fault", ENDING)
def test_release_moves_no_version_tag_after_a_fault(
    fault: str, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """The message has the cause and the next step; the next release finishes the work."""
    scripted, code, text = ENDING[fault]
    proxy.faults = [scripted.again()]
    publisher, draft = factory.publisher(repository), factory.draft()
    with pytest.raises(ImageBuildError) as refused:
        small_releases.publish(publisher, draft)
    proxy.faults = []
    assert (refused.value.exit_code, text in str(refused.value)) == (code, True), refused.value
    assert "_state" not in str(refused.value)
    assert "1.0-slim" not in tags(repository)
    small_releases.publish(factory.publisher(repository, attempt="2"), draft)
    assert repository.resolve(":1.0-slim") == draft.digest


def test_release_needs_no_write_if_it_is_published(
    proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """The version has the same digest: nothing is sent."""
    publisher, draft = factory.publisher(repository), factory.draft()
    assert small_releases.publish(publisher, draft) == ["1.0-slim is released"]
    assert proxy.lines(WRITES)
    proxy.exchanges.clear()
    assert small_releases.publish(publisher, draft) == ["1.0-slim was already released"]
    assert proxy.lines(WRITES) == []
    assert proxy.lines("^HEAD")


def test_release_sends_no_blob_that_the_registry_has(
    proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """Another version of the same image sends the index and the attestations alone."""
    publisher = factory.publisher(repository)
    small_releases.publish(publisher, factory.draft())
    image = {each.body for each in proxy.exchanges if each.line.startswith("PUT") and each.sent}
    proxy.exchanges.clear()
    small_releases.publish(publisher, factory.draft(number="1.1"))
    sent = [each.body for each in proxy.exchanges if each.line.startswith("PUT")]
    assert sent
    assert [body for body in sent if body in image] == []


def test_release_of_a_version_that_is_taken_writes_nothing(
    proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """The message names both digests, and no request changes the registry."""
    publisher = factory.publisher(repository)
    earlier, later = factory.draft("one"), factory.draft("two")
    small_releases.publish(publisher, earlier)
    proxy.exchanges.clear()
    with pytest.raises(PolicyError) as refused:
        small_releases.publish(publisher, later)
    assert earlier.digest in str(refused.value)
    assert later.digest in str(refused.value)
    assert "another --version" in str(refused.value)
    assert proxy.lines(WRITES) == []


def test_variants_are_tagged_after_all_are_published(
    proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """A child is stored before its index, an index before its attestations, and tags at the end."""
    drafts = factory.draft(), factory.draft(variant="full")
    small_releases.publish(factory.publisher(repository), *drafts)
    written = [line.rpartition("/")[2] for line in proxy.lines("^PUT .*/manifests/")]
    assert written[-4:] == ["slim", "1.0-slim", "full", "1.0-full"]
    for draft in drafts:
        child, index = draft.parts[0].candidate.digest, draft.digest
        fallback = f"sha256-{index[7:]}"
        assert written.index(child) < written.index(index) < written.index(fallback)


def test_release_to_a_readonly_registry_ends_with_exit_code_6(
    program: Path, factory: Factory, tmp_path: Path
) -> None:
    with docker_registry.running(program, tmp_path / "r", Settings(readonly=True)) as address:
        target = registry.connect(factory.tools, f"{address}/team/worker")
        with pytest.raises(RegistryError, match="the registry is read-only; ask its operator"):
            small_releases.publish(factory.publisher(target), factory.draft())


@pytest.mark.parametrize("has_referrers", [False, True])
def test_attestations_are_found_with_and_without_a_referrers_api(
    has_referrers: bool, shared_registry: str, name: str, factory: Factory
) -> None:
    """Without the API a tag names the attestations; both ways verify."""
    draft = factory.draft()
    with proxying(shared_registry, has_referrers=has_referrers) as proxy:
        target = registry.connect(factory.tools, f"{proxy.address}/{name}")
        small_releases.publish(factory.publisher(target), draft)
        found = verify.verify(target, ":1.0-slim", factory.verifier, (), lambda _: None)
        assert bool(proxy.referrers) == has_referrers
    assert len(found.statements) == 4
    fallback = f"sha256-{draft.digest[7:]}" in docker_registry.tags(shared_registry, name)
    assert fallback != has_referrers
