"""Does a release name the commit that it was built from?"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support import small_releases
from tests.support.small_releases import COMMIT, Factory
from worker_images.errors import PolicyError
from worker_images.files import ROOT
from worker_images.release import layout, rollback, verify
from worker_images.release.drafts import Draft
from worker_images.release.examine import REVISION, Verified
from worker_images.release.registry import Repository

OTHER = 40 * "f"
DIRTY = (f"{COMMIT}-dirty", "unknown", "", "main", COMMIT[:12])


def check(factory: Factory, draft: Draft, *, allow_dirty: bool) -> Verified:
    place = layout.repository(factory.tools, small_releases.composed(factory, draft))
    return verify.verify(
        place, f":{draft.tag}", factory.verifier, (), lambda _: None, allow_dirty=allow_dirty
    )


@pytest.mark.parametrize("allow_dirty", [False, True])
def test_release_of_a_commit_verifies(factory: Factory, *, allow_dirty: bool) -> None:
    """A control of the refusals."""
    assert check(factory, factory.draft(), allow_dirty=allow_dirty).annotations[REVISION]


@pytest.mark.parametrize("revision", DIRTY)
def test_release_without_a_commit_verifies_only_if_allowed(revision: str, factory: Factory) -> None:
    draft = factory.draft(revision=revision)
    with pytest.raises(PolicyError, match=r"outside of git.*--allow-dirty") as found:
        check(factory, draft, allow_dirty=False)
    assert (revision or "missing") in str(found.value)
    assert check(factory, draft, allow_dirty=True).annotations[REVISION] == revision


@pytest.mark.parametrize(
    ("index", "provenance", "message"),
    [
        (COMMIT, OTHER, f"it names {OTHER}; the revision of the index is {COMMIT}"),
        (COMMIT, f"{COMMIT}-dirty", f"it names no commit; the revision of the index is {COMMIT}"),
        (f"{COMMIT}-dirty", COMMIT, f"it names {COMMIT}; the revision of the index is {COMMIT}-d"),
    ],
)
def test_provenance_of_another_commit_is_refused(
    index: str, provenance: str, message: str, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements of a draft with another revision are attached to the index."""
    draft = factory.draft(revision=index)
    stated = replace(draft, annotations={**draft.annotations, REVISION: provenance})
    signed = small_releases.statements(stated)
    monkeypatch.setattr(small_releases, "statements", lambda _: signed)
    with pytest.raises(PolicyError) as refused:
        check(factory, draft, allow_dirty=True)
    assert f"provenance: {message}" in str(refused.value)


def test_command_refuses_a_dirty_release_without_the_option(factory: Factory) -> None:
    draft = factory.draft(revision=f"{COMMIT}-dirty")
    folder = small_releases.composed(factory, draft).folder
    command = [sys.executable, "build.py", "verify-release", f"oci:{folder}:{draft.tag}"]
    command += ["--key", str(factory.verifier.key), "--json"]

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        line = [*command, *words]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)

    refused = run()
    assert refused.returncode == 7, refused.stderr
    assert f"revision {COMMIT}-dirty: built with changes that are not committed" in refused.stderr
    accepted = run("--allow-dirty")
    assert accepted.returncode == 0, accepted.stderr
    assert json.loads(accepted.stdout)["digest"] == draft.digest


def test_rollback_to_a_dirty_release_needs_permission(
    repository: Repository, factory: Factory
) -> None:
    draft = factory.draft(revision="unknown")
    small_releases.publish(replace(factory.publisher(repository), allow_dirty=True), draft)
    later = factory.draft("two", number="1.1")
    small_releases.publish(factory.publisher(repository), later)

    def roll_back(*, allow_dirty: bool) -> None:
        rollback.rollback(
            repository,
            "1.0",
            ["slim"],
            factory.verifier,
            (),
            lambda _: None,
            allow_dirty=allow_dirty,
        )

    with pytest.raises(PolicyError, match="revision unknown"):
        roll_back(allow_dirty=False)
    assert repository.resolve(":slim") == later.digest
    roll_back(allow_dirty=True)
    assert repository.resolve(":slim") == draft.digest


def test_publisher_of_a_dirty_draft_needs_permission(
    repository: Repository, factory: Factory
) -> None:
    """What a release checks before it moves a tag is what verify-release checks."""
    draft = factory.draft(revision="unknown")
    publisher = factory.publisher(repository)
    with pytest.raises(PolicyError, match="revision unknown"):
        small_releases.publish(publisher, draft)
    assert repository.resolve(f":{draft.tag}") is None
    small_releases.publish(replace(publisher, allow_dirty=True), draft)
    assert repository.resolve(f":{draft.tag}") == draft.digest
