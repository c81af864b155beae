"""Plans of requests, and the digests of their inputs."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from worker_images.build import requirements
from worker_images.build.jobs import Request, plan_all
from worker_images.errors import UsageError
from worker_images.files import text_digest
from worker_images.model import project
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.ledger import Ledger
from worker_images.model.lock import Lock
from worker_images.model.project import Project


def key(checkout: Path) -> dict[str, str]:
    """Return the digest of each input and of the Dockerfile."""
    planned = plan_all([Request("slim", "upstream")], project.load(checkout))
    inputs = {each.name: each.digest for each in planned.plans[0].inputs}
    return inputs | {"Dockerfile": text_digest(planned.dockerfiles[0])}


def test_known_driver_changes_only_the_digest_of_drivers_json(checkout: Path) -> None:
    before = key(checkout)
    path = checkout / DRIVERS
    data = json.loads(path.read_text())
    data["releases"]["20260622.0"]["known"].pop()
    path.write_text(json.dumps(data))
    changed = {name for name, digest in key(checkout).items() if before[name] != digest}
    assert changed == {"components/gvisor/drivers.json"}


def test_lock_is_read_once_for_all_variants(checkout: Path) -> None:
    loaded = project.load(checkout)
    planned = plan_all([Request("slim"), Request("full")], loaded)
    assert planned.locked == requirements.load(loaded)
    assert [each.variant for each in planned.plans] == ["slim", "full"]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"cache_to": "team/cache"}, "--cache-to 'team/cache': not a repository of a registry"),
        ({"cache_from": "r.example/cache:1"}, "--cache-from 'r.example/cache:1': not a repository"),
        ({"cache_from": "r.example/cache,ref=x"}, "not a repository of a registry"),
        ({"cache_from": ""}, "not a repository of a registry"),
        ({"cache_to": "r.example/" + "a" * 300}, "not a repository of a registry"),
        (
            {"cache_from": "r.example/cache", "test": False},
            "--cache-from: the tests check what a cache holds; remove --no-test",
        ),
        (
            {"cache_from": "r.example/cache", "source": "upstream"},
            "--cache-from works only with --source packages",
        ),
        (
            {"cache_from": "r.example/cache", "offline": Path("x")},
            "--cache-from: a cache is in a registry, and --offline uses no network",
        ),
    ],
)
def test_cache_that_cannot_be_used_is_a_usage_error(
    options: dict[str, Any], fault: str, project: Project
) -> None:
    with pytest.raises(UsageError, match=re.escape(fault)):
        plan_all([Request("slim", **options)], project)


def test_cache_of_an_image_that_was_not_reviewed_is_a_usage_error(checkout: Path) -> None:
    Ledger({}).write(checkout)
    fault = "images/ledger.json has no entry for base, gvisor on arm64"
    with pytest.raises(UsageError, match=fault):
        plan_all(
            [Request("slim", cache_from="r.example/cache", architecture="arm64")],
            project.load(checkout),
        )


@pytest.mark.parametrize("name", ["r.example/cache", "127.0.0.1:5000/team/cache"])
def test_repository_is_a_cache(name: str, project: Project) -> None:
    """Control of the test above."""
    assert plan_all([Request("slim", cache_from=name, cache_to=name)], project).plans


def test_component_that_is_not_built_for_the_architecture_is_a_usage_error(checkout: Path) -> None:
    component = "images/components/gvisor/component.yaml"
    for file in (component, "images/slim/variant.yaml", "images/full/variant.yaml"):
        path = checkout / file
        assert '["amd64", "arm64"]' in path.read_text()
        path.write_text(path.read_text().replace('["amd64", "arm64"]', '["amd64"]'))
    loaded = project.load(checkout)
    fault = "--arch arm64: slim contains gvisor, not built for arm64; choose another variant"
    with pytest.raises(UsageError, match=re.escape(fault)):
        plan_all([Request("slim", architecture="arm64")], loaded)
    assert plan_all([Request("slim")], loaded).plans


@pytest.mark.parametrize("variant", ["slim", "full"])
def test_committed_variants_are_built_for_arm64(variant: str, project: Project) -> None:
    """Control of the test above."""
    (planned,) = plan_all([Request(variant, architecture="arm64")], project).plans
    assert planned.cross


ARM64 = f'      arm64:\n        sha512: "{"a" * 128}"\n'


def test_arm64_from_upstream_needs_its_own_digests(checkout: Path) -> None:
    """With them, addresses and folders are those of arm64."""
    request = Request("slim", source="upstream", architecture="arm64")
    fault = "--arch arm64: versions.yaml has no digest of the published file; add"
    with pytest.raises(UsageError, match=f"{fault} components.gvisor.upstream.arm64"):
        plan_all([request], project.load(checkout))
    versions = checkout / "versions.yaml"
    text = versions.read_text()
    end = text.index('"\n', text.index("sha512: ")) + 2
    versions.write_text(text[:end] + ARM64 + text[end:])
    loaded = project.load(checkout)
    lock = checkout / "versions.lock"
    published = requirements.published(loaded)
    lock.write_text(replace(Lock.read(lock), published=published).as_text())
    (dockerfile,) = plan_all([request], loaded).dockerfiles
    assert "/aarch64/runsc\n" in dockerfile
    assert "a" * 128 in dockerfile
