"""What does verify-release print about a release that it refuses, and about a wrong name?"""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import docker_registry, small_releases
from tests.support.registry_proxy import ALWAYS, Fault, Proxy
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError
from worker_images.files import ROOT
from worker_images.release import cosign, layout, rollback, verify
from worker_images.release.drafts import Draft
from worker_images.release.registry import Repository

AGAIN = (
    "attestations are missing: copy a release with `oras cp --recursive`; its publisher can also"
    " run the same release command again"
)
# A line of progress comes before a connection waits; a command that does not end fails here.
SECONDS = 60


def faults(place: Repository, factory: Factory, reference: str) -> list[str]:
    """The lines between the first and the last one of a refusal."""
    with pytest.raises(PolicyError) as refused:
        verify.verify(place, reference, factory.verifier, (), lambda _: None)
    first, *found, last = str(refused.value).splitlines()
    assert first == f"{place.shown(reference)} does not verify:"
    assert last == "do not use this image"
    return found


def run(factory: Factory, command: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run a command of build.py with the public key."""
    line = [sys.executable, "build.py", command, *map(str, words)]
    line += ["--key", str(factory.verifier.key)]
    return subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS
    )


@pytest.fixture
def draft(repository: Repository, factory: Factory) -> Draft:
    """A release in the repository."""
    found = factory.draft()
    small_releases.publish(factory.publisher(repository), found)
    return found


def test_manifest_of_a_platform_has_one_fault(
    draft: Draft, repository: Repository, factory: Factory
) -> None:
    """The advice is the digest to name, and not an option that accepts it."""
    (fault,) = faults(repository, factory, f"@{draft.parts[0].candidate.digest}")
    assert fault == (
        "not an image index but application/vnd.oci.image.manifest.v1+json; name a tag of the"
        ' release, or the digest in the line "index"'
    )


@pytest.mark.parametrize("part", ["layer", "configuration", "bundle"])
def test_blob_with_other_bytes_in_a_registry_is_named(
    part: str, draft: Draft, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """The message says nothing about tags, and shows no folder of this machine."""
    digest = small_releases.parts(small_releases.composed(factory, draft), draft)[part]
    if part == "bundle":
        (attached, *_) = repository.referrers(draft.digest)
        digest = json.loads(repository.manifest(attached))["layers"][0]["digest"]
    proxy.faults = [Fault(f"GET .*/blobs/{digest}", "flip", ALWAYS)]
    found = faults(repository, factory, ":1.0-slim")
    assert found[0] == f"blob {digest}: its bytes do not match its digest"
    assert all(each.startswith(("no ", "attestations ")) for each in found[1:]), found


def test_manifest_with_other_bytes_in_a_registry_says_nothing_about_tags(
    draft: Draft, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    digest = draft.parts[0].candidate.digest
    proxy.faults = [Fault(f"GET .*/manifests/{digest}", "flip", ALWAYS)]
    (fault,) = faults(repository, factory, ":1.0-slim")
    assert digest in fault
    assert "bytes do not match their digest; see the storage" in fault
    assert "tag was moved" not in fault


def test_missing_attestations_have_advice(
    draft: Draft, proxy: Proxy, name: str, repository: Repository, factory: Factory
) -> None:
    """A copy without its referrers, and a registry that deleted them."""
    local = layout.repository(factory.tools, layout.create(factory.folder / name.replace("/", "-")))
    repository.copy_to(local, draft.digest, lambda _: None)
    lacking = ["no signature", "no provenance", "no SBOM for amd64", "no test results for amd64"]
    assert faults(local, factory, f"@{draft.digest}") == [*lacking, AGAIN.partition(";")[0]]
    docker_registry.delete(
        proxy.backend,
        name,
        "manifests",
        repository.resolve(f":sha256-{draft.digest[7:]}") or "",
    )
    assert faults(repository, factory, ":1.0-slim") == [*lacking, AGAIN]


def test_attestations_of_another_key_have_no_advice_about_copies(
    factory: Factory, tmp_path: Path
) -> None:
    """They are there."""
    other = Factory(tmp_path, factory.tools)
    cosign.make_key(factory.tools, tmp_path / "k")
    draft = factory.draft()
    local = small_releases.composed(factory, draft, signer=other.signer())
    found = faults(layout.repository(factory.tools, local), factory, f"@{draft.digest}")
    assert any("not signed with this key" in each for each in found)
    assert not any("attestations are missing" in each for each in found)


def test_json_of_a_refused_release_has_its_faults(draft: Draft, factory: Factory) -> None:
    """As the JSON of compat; a release that verifies has counts of each test layer."""
    local = small_releases.composed(factory, draft)
    reference = f"oci:{local.folder}:1.0-slim"
    sound = run(factory, "verify-release", reference, "--json")
    assert sound.returncode == 0, sound.stderr
    found = json.loads(sound.stdout)
    assert (found["verified"], found["faults"]) == (True, [])
    assert found["tests"][0] == {
        "architecture": "amd64",
        "layer": "image",
        "passed": 1,
        "failed": 0,
        "not_run": 0,
        "reason": "",
        "machine": "",
    }
    assert [each["reason"] for each in found["tests"][1:]] == ["not here", "not here"]
    refused = run(factory, "verify-release", reference, "--json", "--require", "workload")
    assert refused.returncode == 7, refused.stderr
    found = json.loads(refused.stdout)
    assert found["verified"] is False
    (fault,) = found["faults"]
    assert fault in refused.stderr
    text = "the release has no complete results of workload: not here; request them from its"
    assert fault.endswith(f"{text} publisher, or remove workload from --require")
    assert run(factory, "verify-release", reference, "--require", "workload").stdout == ""


@pytest.mark.parametrize(
    ("reference", "code", "text"),
    [
        ("oci:{folder}:none", 6, ":none: not found in index.json; name a tag, or the digest"),
        ("oci:{folder}@sha256:" + 64 * "0", 6, "not found in index.json; name a tag, or the"),
        ("oci:{folder}/none:1", 2, "/none: no such folder; check the path"),
        ("oci:{folder}/blobs:1", 2, "not an OCI layout: it has no index.json"),
        ("{repository}:none", 6, ":none: not found; check the name and the tag"),
        ("{repository}@sha256:" + 64 * "0", 6, "not found; check the name and the tag"),
        ("{repository}", 2, "add :TAG or @DIGEST"),
    ],
)
def test_name_that_does_not_exist_has_one_exit_code_for_registries_and_folders(
    reference: str, code: int, text: str, draft: Draft, repository: Repository, factory: Factory
) -> None:
    local = small_releases.composed(factory, draft)
    name = reference.format(folder=local.folder, repository=repository.name)
    done = run(factory, "verify-release", name)
    assert done.returncode == code, done.stderr
    assert text in done.stderr


def test_tag_before_a_digest_is_ignored(
    draft: Draft, repository: Repository, factory: Factory
) -> None:
    """As Docker does: the digest decides."""
    done = run(factory, "verify-release", f"{repository.name}:none@{draft.digest}")
    assert done.returncode == 0, done.stderr
    for kind in ("signature", "provenance", "SBOM", "test results"):
        assert f"verified  {kind}: 1\n" in done.stdout


def test_first_floating_tag_was_not_set(repository: Repository, factory: Factory) -> None:
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository, keep_floating=True), draft)
    assert repository.resolve(":slim") is None
    words = ["--to", "1.0", "--variant", "slim", "--registry", repository.name]
    done = run(factory, "rollback", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"slim      {draft.digest}, before: not set\n"
    again = run(factory, "rollback", *words, "--json")
    assert json.loads(again.stdout) == [
        {
            "repository": repository.name,
            "variant": "slim",
            "version": "1.0",
            "tag": "slim",
            "before": draft.digest,
            "after": draft.digest,
        }
    ]
    moved = rollback.rollback(repository, "1.0", ["slim"], factory.verifier, (), lambda _: None)
    assert moved[0].text == f"slim      {draft.digest} (unchanged)"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["verify-release", "{}/worker:1"], "interrupted\n"),
        (
            ["rollback", "--to", "1", "--registry", "{}/worker"],
            "interrupted; run the same command again to finish\n",
        ),
    ],
)
def test_interrupted_command_claims_nothing_about_tags(
    command: list[str], text: str, factory: Factory
) -> None:
    """The command waits for a registry that does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        line = [sys.executable, "build.py", *(word.format(address) for word in command)]
        line += ["--key", str(factory.verifier.key)]
        with subprocess.Popen(
            line, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            connection, _ = server.accept()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS)
            connection.close()
    assert process.returncode == 130, errors
    assert errors.endswith(f"build.py: {text}")
