"""The provenance of a release."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import plan
from worker_images.build.plan import Plan
from worker_images.build.published import File, Image
from worker_images.files import text_digest
from worker_images.model.lock import Lock
from worker_images.model.project import Project, load
from worker_images.release import provenance

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CANARIES = {
    "GOPROXY": "https://user:canary-goproxy@proxy.example.org",
    "PIP_INDEX_URL": "https://user:canary-pip@pypi.example.org/simple",
    "https_proxy": "http://user:canary-proxy@proxy.example.org:3128",
    "CI_JOB_TOKEN": "canary-ci-token",
    "COSIGN_PASSWORD": "canary-cosign",
    "HOME": "/canary-home",
}
LENGTHS = {"sha256": 64, "sha512": 128, "gitCommit": 40, "dirHash": 64}


def predicate(plans: list[Plan], project: Project, **options: str) -> dict[str, object]:
    values = {"revision": COMMIT, "invocation": "local"} | options
    return provenance.predicate(plans, project, **values)


def rows(found: dict[str, object]) -> list[dict[str, object]]:
    definition = found["buildDefinition"]
    assert isinstance(definition, dict)
    return list(definition["resolvedDependencies"])


def test_predicate_has_the_fields_of_slsa(full: Plan, project: Project) -> None:
    found = predicate([full], project)
    definition, details = found["buildDefinition"], found["runDetails"]
    assert isinstance(definition, dict)
    assert definition["buildType"] == provenance.BUILD_TYPE
    assert details == {
        "builder": {"id": provenance.LOCAL_BUILDER},
        "metadata": {"invocationId": "local"},
    }
    parameters = definition["externalParameters"]
    assert {key: parameters[key] for key in ("variant", "source", "architectures")} == {
        "variant": "full",
        "source": "packages",
        "architectures": ["amd64"],
    }
    assert definition["internalParameters"]["created"] == full.created


def test_build_type_is_documented(root: Path) -> None:
    page = (root / "docs/provenance.md").read_text()
    assert provenance.BUILD_TYPE in page
    assert provenance.LOCAL_BUILDER in page


def test_every_dependency_has_a_name_and_a_digest(full: Plan, project: Project) -> None:
    for row in rows(predicate([full], project)):
        digests = row["digest"]
        assert isinstance(digests, dict)
        assert row["name"], row
        assert len(digests) == 1, row
        for algorithm, digest in digests.items():
            assert re.fullmatch(rf"[0-9a-f]{{{LENGTHS[algorithm]}}}", digest), row


def test_every_file_of_the_lock_is_a_dependency(full: Plan, project: Project, locked: Lock) -> None:
    found = {
        (str(row.get("uri", "")), json.dumps(row["digest"]))
        for row in rows(predicate([full], project))
    }
    debs = {
        (package.url, json.dumps({"sha256": package.sha256}))
        for root in ("base", "criu")
        for package in locked.packages["amd64"].of(root)
    }
    assert debs <= found
    uris = {uri for uri, _ in found}
    assert {
        "pkg:golang/gvisor.dev/gvisor@v0.0.0-20260701204157-69c2d17aea96",
        "pkg:golang/golang.org/toolchain@v0.0.1-go1.26.11.linux-amd64",
        "pkg:pypi/nvidia-cuda-runtime-cu12@12.8.57",
    } <= uris


def test_c_program_has_its_source_and_its_compiler(
    full: Plan, project: Project, locked: Lock
) -> None:
    found = {str(row["name"]): row for row in rows(predicate([full], project))}
    source = "components/gpu-checkpoint/gpu-checkpoint.c"
    text = (project.root / "images" / source).read_text()
    assert found[f"images/{source}"]["digest"] == {"sha256": text_digest(text)}
    assert found["Zig"]["uri"] == "pkg:pypi/ziglang@0.15.2"
    assert found["Zig"]["digest"] == {"sha256": locked.wheels["amd64"]["zig"].sha256}


def test_hash_of_a_module_is_that_of_go_sum_in_hexadecimal(full: Plan, project: Project) -> None:
    """h1:LZXO... of gvisor's go.sum, by base64 and od."""
    row = next(
        row
        for row in rows(predicate([full], project))
        if row["name"] == "gvisor.dev/gvisor v0.0.0-20260701204157-69c2d17aea96"
    )
    assert row["digest"] == {
        "dirHash": "2d95ce7f8370bc0c14cbf788f0ff98dc351d60bc9a0840cd3c48ec2f638fdaba"
    }


def test_dependencies_do_not_repeat_and_are_in_order(project: Project, locked: Lock) -> None:
    slim = [plan.make(project, locked, "slim", None, each) for each in ("amd64", "arm64")]
    keys = [f"{row.get('uri', '')} {row['name']}" for row in rows(predicate(slim, project))[2:]]
    assert keys == sorted(set(keys))
    assert any("_arm64.deb" in key for key in keys)
    assert any("_amd64.deb" in key for key in keys)


@pytest.mark.parametrize("revision", [f"{COMMIT}-dirty", "unknown", ""])
def test_checkout_with_changes_has_no_commit(revision: str, full: Plan, project: Project) -> None:
    assert "gitCommit" not in json.dumps(predicate([full], project, revision=revision))


@pytest.mark.parametrize(
    ("repository", "uri"),
    [
        ("https://example.org/a/b", "git+https://example.org/a/b"),
        ("", None),
    ],
)
def test_source_is_the_commit_of_a_repository(
    repository: str, uri: str | None, full: Plan, project: Project
) -> None:
    source = rows(predicate([full], project, repository=repository))[0]
    assert source.get("uri") == uri
    assert source["digest"] == {"gitCommit": COMMIT}


def test_hosted_builder_names_itself(full: Plan, project: Project) -> None:
    found = predicate([full], project, builder="https://example.org/builder", invocation="run/7")
    assert found["runDetails"] == {
        "builder": {"id": "https://example.org/builder"},
        "metadata": {"invocationId": "run/7"},
    }


def test_predicate_holds_nothing_of_the_machine(
    checkout: Path, locked: Lock, monkeypatch: pytest.MonkeyPatch, full: Plan, project: Project
) -> None:
    """Another folder and an environment full of secrets give the same text."""
    plain = json.dumps(predicate([full], project))
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    other = load(checkout)
    text = json.dumps(predicate([plan.make(other, locked, "full")], other))
    assert text == plain
    assert "canary" not in text
    assert str(checkout) not in text


def test_downloads_of_source_upstream_have_their_digests(full: Plan, project: Project) -> None:
    downloads = (
        Image("runc", "https://example.org/runc.amd64", f"sha256:{'a' * 64}"),
        File("gvisor", "https://example.org/runsc", f"sha512:{'b' * 128}"),
    )
    found = rows(predicate([replace(full, inputs=downloads)], project))
    assert [row["digest"] for row in found[2:]] == [{"sha256": "a" * 64}, {"sha512": "b" * 128}]
