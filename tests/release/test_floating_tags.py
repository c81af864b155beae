"""Does a release move a floating tag forwards alone, and only if a commit has its sources?"""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import small_releases
from tests.support.registry_proxy import Fault, Proxy
from tests.support.sites import VERSION, Site
from tests.support.small_releases import COMMIT, Factory
from worker_images.build.record import UNKNOWN
from worker_images.errors import RegistryError
from worker_images.release import floating
from worker_images.release.outcome import ALREADY, Outcome
from worker_images.release.registry import Repository
from worker_images.release.request import Request


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
    return draft.digest, publisher.floating(draft).kept(draft, keep=keep)


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
    """An older version after it gets its own tag, and the result has the reason."""
    older, stays = publish(repository, factory, first)
    assert (repository.resolve(":slim"), stays) == (older, "")
    newer, stays = publish(repository, factory, second)
    assert (repository.resolve(":slim"), stays) == (newer, "")
    repository.tag(older, "kept")
    _, stays = publish(repository, factory, first, text="one")
    assert repository.resolve(":slim") == newer
    assert stays == f"{second} is newer"


def test_floating_tag_stays_after_a_backport(repository: Repository, factory: Factory) -> None:
    newer, _ = publish(repository, factory, "1.5.0")
    _, stays = publish(repository, factory, "1.4.9", text="two")
    assert repository.resolve(":slim") == newer
    assert stays == "1.5.0 is newer"


@pytest.mark.parametrize("version", ["nightly", "1.5.0-slow"])
def test_floating_tag_stays_if_versions_have_no_order(
    version: str, repository: Repository, factory: Factory
) -> None:
    first, _ = publish(repository, factory, version)
    assert repository.resolve(":slim") == first
    _, stays = publish(repository, factory, "9.0", text="two")
    assert repository.resolve(":slim") == first
    assert stays == f"{version} and 9.0 have no order"


def test_floating_tag_of_something_else_stays(repository: Repository, factory: Factory) -> None:
    """It names an image of its own, which has no version."""
    draft = factory.draft()
    publisher = factory.publisher(repository)
    publisher.publish(draft, small_releases.statements(draft))
    image = draft.parts[0].candidate.digest
    repository.tag(image, "slim")
    publisher.tag(draft)
    assert repository.resolve(":slim") == image
    assert publisher.floating(draft).text == f"slim names {image}"
    assert publisher.kept(draft) == "this release and 1.0 have no order"


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
    assert stays == "1.5.0 is newer"


def test_keep_floating_moves_no_floating_tag(repository: Repository, factory: Factory) -> None:
    _, stays = publish(repository, factory, "1.0", keep=True)
    assert repository.resolve(":slim") is None
    assert stays == "--keep-floating"
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
    assert publisher.floating(draft).text == "slim is not set"
    assert publisher.kept(draft) == "the release has changes that are not committed"
    first, _ = publish(repository, factory, "1.0.1", text="two")
    small_releases.publish(publisher, factory.draft("three", number="2.0", revision=revision))
    assert repository.resolve(":slim") == first


def test_output_names_the_floating_tag_only_if_it_names_the_release(
    repository: Repository, factory: Factory
) -> None:
    publish(repository, factory, "1.5.0")
    draft = factory.draft("two", number="1.4.9")
    named = floating.find(repository, "slim")
    options = Request(("slim",), "registry.example/worker", "1.4.9", key=Path("k.key"))
    found = Outcome(draft, None, ALREADY, named, named.kept(draft))
    text = found.text(options)
    assert "registry.example/worker:slim" not in text
    command = "./build.py rollback --registry registry.example/worker --variant slim --to 1.4.9"
    assert text.splitlines()[-2:] == [
        "floating tag     slim names 1.5.0: 1.5.0 is newer",
        f"to move it       {command} --key k.pub",
    ]
    assert "registry.example/worker:slim" in replace(found, kept="").text(options)


def test_command_leaves_the_floating_tag_at_a_newer_version(site: Site) -> None:
    done = site.release("slim", "0.9")
    assert done.returncode == 0, done.stderr
    assert f"slim names {VERSION}: {VERSION} is newer" in done.stdout
    assert f"{site.target}:slim" not in done.stdout
    again = site.release("slim", "0.9", "--json")
    (found,) = json.loads(again.stdout)
    assert found["result"] == "already released"
    assert found["floating"]["version"] == VERSION
    assert found["floating"]["kept"] == "the version was released before"


def test_command_that_moves_the_floating_tag_is_printed(site: Site) -> None:
    """The line can be run as it is."""
    done = site.release("slim", "0.8")
    row = next(row for row in done.stdout.splitlines() if row.startswith("to move it"))
    moved = site.run(*shlex.split(row)[4:])
    assert moved.returncode == 0, moved.stderr
    back = site.run(*shlex.split(row.replace("--to 0.8", f"--to {VERSION}"))[4:])
    assert back.returncode == 0, back.stderr


def test_command_leaves_the_floating_tag_with_changes_that_are_not_committed(site: Site) -> None:
    changed = site.checkout / "docs/new.md"
    changed.write_text("not committed\n")
    try:
        done = site.release("slim", "9.0", "--allow-dirty")
    finally:
        changed.unlink()
    assert done.returncode == 0, done.stderr
    assert f"slim names {VERSION}: the release has changes that are not committed" in done.stdout
    assert "to move it" not in done.stdout
