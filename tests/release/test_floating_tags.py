"""Does a release move a floating tag forwards alone, and only if a commit has its sources?"""

from dataclasses import replace

import pytest

from tests.support import small_releases
from tests.support.registry_proxy import Fault, Proxy
from tests.support.sites import VERSION, Site
from tests.support.small_releases import COMMIT, Factory
from worker_images.build.record import UNKNOWN
from worker_images.errors import RegistryError
from worker_images.release import floating
from worker_images.release.registry import Repository
from worker_images.release.release import ALREADY, Outcome


def publish(
    repository: Repository,
    factory: Factory,
    number: str,
    *,
    text: str = "one",
    keep: bool = False,
) -> tuple[str, str]:
    """Publish a version; return its digest and why the floating tag does not name it."""
    draft = factory.draft(text, number=number)
    publisher = factory.publisher(repository, keep_floating=keep)
    small_releases.publish(publisher, draft)
    assert repository.resolve(f":{number}-slim") == draft.digest
    return draft.digest, publisher.floating(draft).stays(draft, keep=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1.0", "1.1"),
        ("1.9.0", "1.10.0"),
        ("2026.9.30", "2026.11.1"),
        ("1.5.0-rc1", "1.5.0"),
        ("v1.4", "1.5"),
    ],
)
def test_floating_tag_follows_newer_versions_alone(
    first: str, second: str, repository: Repository, factory: Factory
) -> None:
    """A backport after it gets its own tag; the output names the command that moves the other."""
    older, stays = publish(repository, factory, first)
    assert (repository.resolve(":slim"), stays) == (older, "")
    newer, stays = publish(repository, factory, second)
    assert (repository.resolve(":slim"), stays) == (newer, "")
    repository.tag(older, "kept")
    _, stays = publish(repository, factory, first, text="one")
    assert repository.resolve(":slim") == newer
    assert stays == f"slim stays at {second}; ./build.py rollback --to {first} moves it"


def test_floating_tag_stays_after_a_backport(repository: Repository, factory: Factory) -> None:
    newer, _ = publish(repository, factory, "1.5.0")
    _, stays = publish(repository, factory, "1.4.9", text="two")
    assert repository.resolve(":slim") == newer
    assert stays == "slim stays at 1.5.0; ./build.py rollback --to 1.4.9 moves it"


@pytest.mark.parametrize("version", ["nightly", "1.5.0-slow"])
def test_floating_tag_stays_if_versions_have_no_order(
    version: str, repository: Repository, factory: Factory
) -> None:
    first, _ = publish(repository, factory, version)
    assert repository.resolve(":slim") == first
    _, stays = publish(repository, factory, "9.0", text="two")
    assert repository.resolve(":slim") == first
    assert stays == f"slim stays at {version}; ./build.py rollback --to 9.0 moves it"


def test_floating_tag_of_something_else_stays(repository: Repository, factory: Factory) -> None:
    """It names an image of its own, which has no version."""
    draft = factory.draft()
    publisher = factory.publisher(repository)
    publisher.publish(draft, small_releases.statements(draft))
    image = draft.parts[0].candidate.digest
    repository.tag(image, "slim")
    publisher.tag(draft)
    assert repository.resolve(":slim") == image
    assert f"slim stays at {image};" in publisher.stays(draft)


def test_interrupted_older_release_is_finished_without_the_floating_tag(
    proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """It stopped before any tag, and a newer version was released meanwhile."""
    proxy.faults = [Fault("PUT .*/manifests/slim", 503, times=99)]
    with pytest.raises(RegistryError):
        publish(repository, factory, "1.4.0")
    proxy.faults = []
    newer, _ = publish(repository, factory, "1.5.0", text="two")
    _, stays = publish(repository, factory, "1.4.0")
    assert repository.resolve(":slim") == newer
    assert "slim stays at 1.5.0;" in stays


def test_keep_floating_moves_no_floating_tag(repository: Repository, factory: Factory) -> None:
    _, stays = publish(repository, factory, "1.0", keep=True)
    assert repository.resolve(":slim") is None
    assert stays == "slim is not set; ./build.py rollback --to 1.0 moves it"
    first, _ = publish(repository, factory, "1.1", text="two")
    publish(repository, factory, "1.2", text="three", keep=True)
    assert repository.resolve(":slim") == first


@pytest.mark.parametrize("revision", [f"{COMMIT}-dirty", UNKNOWN])
def test_release_without_a_commit_moves_no_floating_tag(
    revision: str, repository: Repository, factory: Factory
) -> None:
    """It gets the tag of its version, and says so."""
    publisher = replace(factory.publisher(repository), allow_dirty=True)
    draft = factory.draft(revision=revision)
    small_releases.publish(publisher, draft)
    assert repository.resolve(":1.0-slim") == draft.digest
    assert repository.resolve(":slim") is None
    reason = publisher.floating(draft).stays(draft)
    assert reason == "slim is not set: no commit has the sources of this release"
    first, _ = publish(repository, factory, "1.0.1", text="two")
    small_releases.publish(publisher, factory.draft("three", number="2.0", revision=revision))
    assert repository.resolve(":slim") == first


def test_output_names_the_floating_tag_only_if_it_names_the_release(
    repository: Repository, factory: Factory
) -> None:
    publish(repository, factory, "1.5.0")
    draft = factory.draft("two", number="1.4.9")
    stays = floating.find(repository, "slim").stays(draft)
    text = Outcome(draft, None, ALREADY, stays).text("registry.example/worker")
    assert "registry.example/worker:slim" not in text
    assert "\nfloating tag     slim stays at 1.5.0; ./build.py rollback --to 1.4.9 moves" in text
    assert "registry.example/worker:slim" in Outcome(draft, None, ALREADY, "").text(
        "registry.example/worker"
    )


def test_command_leaves_the_floating_tag_at_a_newer_version(site: Site) -> None:
    done = site.release("slim", "0.9")
    assert done.returncode == 0, done.stderr
    assert f"slim stays at {VERSION}; ./build.py rollback --to 0.9 moves it" in done.stdout
    assert f"{site.target}:slim" not in done.stdout
    again = site.release("slim", "0.9")
    assert again.stdout == done.stdout.replace("released        ", "already released")


def test_command_leaves_the_floating_tag_with_changes_that_are_not_committed(site: Site) -> None:
    changed = site.checkout / "docs/new.md"
    changed.write_text("not committed\n")
    try:
        done = site.release("slim", "9.0", "--allow-dirty")
    finally:
        changed.unlink()
    assert done.returncode == 0, done.stderr
    assert f"slim stays at {VERSION}: no commit has the sources of this release" in done.stdout
