"""Does verify-release name what a registry lost, and does rollback move only what verifies?"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import docker_registry, small_releases
from tests.support.registry_proxy import ALWAYS, Fault, Proxy
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError, RegistryError
from worker_images.files import ROOT
from worker_images.harness.options import not_run
from worker_images.release import layout, registry, rollback, verify
from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.registry import Repository


def check(place: Repository, factory: Factory, reference: str = ":1.0-slim") -> Verified:
    return verify.verify(place, reference, factory.verifier, (), lambda _: None)


def copy(source: Repository, target: Repository, digest: str) -> None:
    """Copy a release as users do."""
    options = ["--from-oci-layout" if source.is_layout else "--from-plain-http"]
    options += ["--to-oci-layout" if target.is_layout else "--to-plain-http"]
    names = [f"{source.name}@{digest}", target.name]
    done = source.tools.run("oras", ["cp", "--recursive", *options, *names])
    assert done.status == 0, done.errors


def child(_: Repository, draft: Draft) -> tuple[str, str]:
    return "manifests", draft.parts[0].candidate.digest


def config(_: Repository, draft: Draft) -> tuple[str, str]:
    return "blobs", draft.parts[0].candidate.image_id


def layer(place: Repository, draft: Draft) -> tuple[str, str]:
    found = json.loads(place.manifest(draft.parts[0].candidate.digest))
    return "blobs", found["layers"][0]["digest"]


def attestation(place: Repository, draft: Draft) -> tuple[str, str]:
    return "manifests", place.referrers(draft.digest)[0]


def bundle(place: Repository, draft: Draft) -> tuple[str, str]:
    found = json.loads(place.manifest(place.referrers(draft.digest)[0]))
    return "blobs", found["layers"][0]["digest"]


@pytest.mark.parametrize("lost", [child, config, layer, attestation, bundle])
def test_verification_names_what_a_registry_lost(
    lost: Callable[[Repository, Draft], tuple[str, str]],
    proxy: Proxy,
    name: str,
    repository: Repository,
    factory: Factory,
) -> None:
    """Retention rules delete manifests without a tag, and blobs."""
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    assert check(repository, factory).digest == draft.digest
    kind, digest = lost(repository, draft)
    docker_registry.delete(proxy.backend, name, kind, digest)
    with pytest.raises(PolicyError) as refused:
        check(repository, factory)
    assert digest in str(refused.value), refused.value
    assert "does not verify" in str(refused.value)


@pytest.mark.parametrize("kind", ["blobs", "manifests"])
def test_verification_names_what_a_registry_changed(
    kind: str, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """Every blob, or every manifest, has another byte than its digest says."""
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    proxy.faults = [Fault(f"GET .*/{kind}/sha256:", "flip", ALWAYS)]
    with pytest.raises(PolicyError, match="does not verify") as refused:
        check(repository, factory)
    text = "their digest" if kind == "manifests" else "its digest"
    assert f"bytes do not match {text}" in str(refused.value)
    first = draft.digest if kind == "manifests" else draft.parts[0].candidate.image_id
    assert first in str(refused.value)


def test_verification_names_missing_attestations(
    proxy: Proxy, name: str, repository: Repository, factory: Factory
) -> None:
    """Without the tag that names them, no attestation is found."""
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    fallback = repository.resolve(f":sha256-{draft.digest[7:]}")
    assert fallback
    docker_registry.delete(proxy.backend, name, "manifests", fallback)
    with pytest.raises(PolicyError, match="no signature\nno provenance\nno SBOM for amd64"):
        check(repository, factory)


def test_verification_of_a_missing_tag_ends_with_exit_code_6(
    repository: Repository, factory: Factory
) -> None:
    with pytest.raises(RegistryError, match="not found; check the name and the tag"):
        check(repository, factory)


def test_copy_in_another_registry_and_in_a_folder_verifies(
    program: Path, repository: Repository, factory: Factory, tmp_path: Path
) -> None:
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    folder = layout.repository(factory.tools, layout.create(tmp_path / "layout"))
    copy(repository, folder, draft.digest)
    assert len(check(folder, factory, f"@{draft.digest}").statements) == 4
    with docker_registry.running(program, tmp_path / "r") as address:
        other = registry.connect(factory.tools, f"{address}/mirror/worker")
        copy(folder, other, draft.digest)
        assert len(check(other, factory, f"@{draft.digest}").statements) == 4


def test_folder_verifies_without_a_network(
    repository: Repository, factory: Factory, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The command runs in a network namespace of its own, and changes with a byte of the folder."""
    if os.geteuid():
        not_run(pytestconfig, "release", "a network namespace needs root")
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    folder = tmp_path / "layout"
    local = layout.repository(factory.tools, layout.create(folder))
    copy(repository, local, draft.digest)
    command = ["unshare", "--net", sys.executable, "build.py", "verify-release"]
    command += [f"oci:{folder}@{draft.digest}", "--key", str(factory.folder / "k.pub")]

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        line = [*command, *words]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)

    found = run("--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["digest"] == draft.digest
    blob = folder / "blobs/sha256" / draft.parts[0].candidate.image_id[7:]
    blob.write_bytes(blob.read_bytes().replace(b"amd64", b"arm64"))
    refused = run()
    assert refused.returncode == 7, refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def two_versions(repository: Repository, factory: Factory) -> dict[str, Draft]:
    """Releases 1.0 and 1.1 of slim and full, by version's tag."""
    drafts = [
        factory.draft(number, variant, number)
        for number in ("1.0", "1.1")
        for variant in ("slim", "full")
    ]
    for draft in drafts:
        small_releases.publish(factory.publisher(repository), draft)
    return {draft.tag: draft for draft in drafts}


def roll_back(
    place: Repository, factory: Factory, version: str, *variants: str
) -> tuple[rollback.Moved, ...]:
    return rollback.rollback(place, version, variants, factory.verifier, (), lambda _: None)


def resolved(place: Repository, *tags: str) -> list[str | None]:
    return [place.resolve(f":{tag}") for tag in tags]


def test_rollback_moves_floating_tags_alone(
    two_versions: dict[str, Draft], repository: Repository, factory: Factory
) -> None:
    every = [draft.digest for draft in two_versions.values()]
    assert resolved(repository, "slim", "full") == every[2:]
    moved = roll_back(repository, factory, "1.0", "slim", "full")
    assert [(move.before, move.after) for move in moved] == [
        (every[2], every[0]),
        (every[3], every[1]),
    ]
    assert resolved(repository, "slim", "full") == every[:2]
    assert resolved(repository, *two_versions) == every
    again = roll_back(repository, factory, "1.0", "slim")
    assert again[0].before == again[0].after


def test_rollback_to_a_release_that_does_not_verify_moves_no_tag(
    two_versions: dict[str, Draft],
    repository: Repository,
    factory: Factory,
    proxy: Proxy,
    name: str,
) -> None:
    """One variant is broken, one version does not exist: both keep all tags."""
    tags = ("slim", "full", *two_versions)
    before = resolved(repository, *tags)
    lost = two_versions["1.0-full"].parts[0].candidate.image_id
    docker_registry.delete(proxy.backend, name, "blobs", lost)
    with pytest.raises(PolicyError, match=lost):
        roll_back(repository, factory, "1.0", "slim", "full")
    with pytest.raises(RegistryError, match=r"2.0-slim: not found"):
        roll_back(repository, factory, "2.0", "slim")
    assert resolved(repository, *tags) == before


def test_rollback_to_another_release_under_the_version_is_refused(
    two_versions: dict[str, Draft], repository: Repository, factory: Factory
) -> None:
    """A tag that someone moved does not verify as its version."""
    repository.tag(two_versions["1.1-slim"].digest, "1.0-slim")
    with pytest.raises(PolicyError, match=r"the tag 1.0-slim names the release 1.1 of slim"):
        roll_back(repository, factory, "1.0", "slim")
