"""Does verify-release refuse tags that were moved, and statements about something else?"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import small_releases
from tests.support.small_releases import Workshop
from worker_images.errors import PolicyError
from worker_images.release import attest, cosign, layout, verify
from worker_images.release.cosign import Signer, Statement
from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.publish import compose
from worker_images.release.registry import Repository
from worker_images.release.statements import PROVENANCE, SBOM, TESTS


def check(place: Repository, workshop: Workshop, reference: str) -> Verified:
    return verify.verify(place, reference, workshop.verifier, (), lambda _: None)


@pytest.mark.parametrize("tag", ["1.0-slim", "full", "1.0-full"])
def test_signed_release_under_the_tag_of_another_is_refused(
    tag: str, repository: Repository, workshop: Workshop
) -> None:
    """Who can push but has no key may let a tag name an older release or another variant."""
    draft = workshop.draft("new", "slim", "1.1")
    small_releases.publish(workshop.publisher(repository), draft)
    assert check(repository, workshop, ":slim").digest == draft.digest
    repository.tag(draft.digest, tag)
    with pytest.raises(PolicyError, match=f"the tag {tag} names the release 1.1 of slim"):
        check(repository, workshop, f":{tag}")
    assert check(repository, workshop, f"@{draft.digest}").digest == draft.digest


def add(place: Repository, workshop: Workshop, draft: Draft, statement: Statement) -> None:
    """Attach a statement that is signed with the right key."""
    local = compose(draft, workshop.folder / "added")
    local = attest.attach(local, draft, [statement], workshop.signer(), lambda _: None)
    entry = next(each for each in local.entries if each.get("artifactType"))
    source = layout.repository(workshop.tools, local)
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
    case: str, repository: Repository, workshop: Workshop
) -> None:
    statement, message = FOREIGN[case]
    draft = workshop.draft()
    small_releases.publish(workshop.publisher(repository), draft)
    assert len(check(repository, workshop, ":slim").statements) == 4
    add(repository, workshop, draft, statement)
    with pytest.raises(PolicyError, match=message):
        check(repository, workshop, ":slim")


def test_sbom_without_a_digest_is_refused_without_a_traceback(
    repository: Repository, workshop: Workshop
) -> None:
    """The image's own SBOM, with a part that has no hash."""
    draft = workshop.draft()
    small_releases.publish(workshop.publisher(repository), draft)
    sbom = next(each for each in small_releases.statements(draft) if each.kind == SBOM)
    broken = {**sbom.predicate, "components": [{"bom-ref": "component:text", "hashes": []}]}
    add(repository, workshop, draft, replace(sbom, predicate=broken))
    with pytest.raises(PolicyError, match=r"SBOM: not one of \./build\.py release"):
        check(repository, workshop, ":slim")


def test_attestation_of_another_signer_is_ignored_and_named(
    repository: Repository, workshop: Workshop, tmp_path: Path
) -> None:
    """A scanner adds its own; the release verifies as before."""
    draft = workshop.draft()
    small_releases.publish(workshop.publisher(repository), draft)
    cosign.make_key(workshop.tools, tmp_path / "other")
    signer = Signer(workshop.tools, tmp_path / "other.key")
    local = compose(draft, workshop.folder / "added")
    local = attest.attach(local, draft, [Statement(PROVENANCE, {})], signer, print)
    entry = next(each for each in local.entries if each.get("artifactType"))
    layout.repository(workshop.tools, local).copy_to(repository, str(entry["digest"]), print)
    found = check(repository, workshop, ":slim")
    assert len(found.statements) == 4
    (ignored,) = found.others
    assert "not signed with this key" in ignored
    assert f"ignored   {ignored[:40]}" in found.text
