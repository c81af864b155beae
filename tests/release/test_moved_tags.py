"""Does verify-release refuse tags that were moved, and statements about something else?"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import small_releases
from tests.support.small_releases import Factory
from worker_images.errors import PolicyError
from worker_images.release import attest, cosign, layout, verify
from worker_images.release.cosign import Signer, Statement
from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.publish import compose
from worker_images.release.registry import Repository
from worker_images.release.statements import PROVENANCE, SBOM, TESTS


def check(place: Repository, factory: Factory, reference: str) -> Verified:
    return verify.verify(place, reference, factory.verifier, (), lambda _: None)


@pytest.mark.parametrize("tag", ["1.0-slim", "full", "1.0-full"])
def test_signed_release_under_the_tag_of_another_is_refused(
    tag: str, repository: Repository, factory: Factory
) -> None:
    """Who can push but has no key may let a tag name an older release or another variant."""
    draft = factory.draft("new", "slim", "1.1")
    small_releases.publish(factory.publisher(repository), draft)
    assert check(repository, factory, ":slim").digest == draft.digest
    repository.tag(draft.digest, tag)
    with pytest.raises(PolicyError, match=f"the tag {tag} names the release 1.1 of slim"):
        check(repository, factory, f":{tag}")
    assert check(repository, factory, f"@{draft.digest}").digest == draft.digest


def add(place: Repository, factory: Factory, draft: Draft, statement: Statement) -> None:
    """Attach a statement that is signed with the right key."""
    local = compose(draft, factory.folder / "added")
    local = attest.attach(local, draft, [statement], factory.signer(), lambda _: None)
    entry = next(each for each in local.entries if each.get("artifactType"))
    source = layout.repository(factory.tools, local)
    source.copy_to(place, str(entry["digest"]), lambda _: None)


FOREIGN = {
    "test results of another tool": (Statement(TESTS, {"result": "PASSED"}), "test results: about"),
    "an SBOM of another image": (
        Statement(SBOM, {"metadata": {"component": {"version": f"sha256:{64 * '1'}"}}}),
        "SBOM: about another image",
    ),
    "a malformed SBOM": (Statement(SBOM, {"components": [{"hashes": []}]}), "SBOM: about"),
    "a provenance of another builder": (
        Statement(PROVENANCE, {"buildDefinition": {"buildType": "x", "externalParameters": {}}}),
        "provenance: unknown build type x",
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_statement_about_something_else_is_refused(
    case: str, repository: Repository, factory: Factory
) -> None:
    statement, message = FOREIGN[case]
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    assert len(check(repository, factory, ":slim").statements) == 4
    add(repository, factory, draft, statement)
    with pytest.raises(PolicyError, match=message):
        check(repository, factory, ":slim")


def test_sbom_without_a_digest_is_refused_without_a_traceback(
    repository: Repository, factory: Factory
) -> None:
    """The image's own SBOM, with a part that has no hash."""
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    sbom = next(each for each in small_releases.statements(draft) if each.kind == SBOM)
    broken = {**sbom.predicate, "components": [{"bom-ref": "component:text", "hashes": []}]}
    add(repository, factory, draft, replace(sbom, predicate=broken))
    with pytest.raises(PolicyError, match=r"SBOM: not one of \./build\.py release"):
        check(repository, factory, ":slim")


def test_attestation_of_another_signer_is_ignored_and_named(
    repository: Repository, factory: Factory, tmp_path: Path
) -> None:
    """A scanner adds its own; the release verifies as before."""
    draft = factory.draft()
    small_releases.publish(factory.publisher(repository), draft)
    cosign.make_key(factory.tools, tmp_path / "other")
    signer = Signer(factory.tools, tmp_path / "other.key")
    local = compose(draft, factory.folder / "added")
    local = attest.attach(local, draft, [Statement(PROVENANCE, {})], signer, print)
    entry = next(each for each in local.entries if each.get("artifactType"))
    layout.repository(factory.tools, local).copy_to(repository, str(entry["digest"]), print)
    found = check(repository, factory, ":slim")
    assert len(found.statements) == 4
    (ignored,) = found.others
    assert "not signed with this key" in ignored
    assert f"ignored   {ignored[:40]}" in found.text
