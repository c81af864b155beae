"""Worker images on other engines, built with the commands that users run."""

import subprocess
from pathlib import Path

import pytest

from tests.engines.engines import RunningEngine, build, manifest_digest
from tests.engines.space import run_command
from tests.support import commands
from worker_images.build import record
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model.results import read

ARCHIVE = ROOT / "out/slim/image.tar"
Results = dict[str, str]


@pytest.fixture(scope="session")
def built(checkout: Path, docker: RunningEngine) -> "subprocess.CompletedProcess[str]":
    """The build of slim with Docker."""
    assert ARCHIVE.exists(), f"no {ARCHIVE}; run: make slim"
    return build(checkout, docker)


def results(engine: RunningEngine, settings: dict[str, str], scratch: Path) -> Results:
    """Return each check's result on the archive of `make slim`, with an engine's containers."""
    report = scratch / f"{engine.name}.xml"
    command = [*commands.PYTEST, "tests/image", "--variant", "slim", "--image", str(ARCHIVE)]
    run = run_command([*command, "--junit-xml", str(report)], ROOT, engine.environment | settings)
    assert run.returncode == 0, run.stdout + run.stderr
    return {check.identity: check.result.outcome for check in read(report).checks}


@pytest.fixture(scope="session")
def expected(reference: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results on the engine of `make slim`."""
    found = results(reference, {}, tmp_path_factory.mktemp("reference"))
    assert found
    return found


def test_slim_is_built_tested_and_tagged_by_docker(
    built: "subprocess.CompletedProcess[str]",
    checkout: Path,
    docker: RunningEngine,
    endpoint: Endpoint,
) -> None:
    """Docker builds slim with the image ID of `make slim`, and tags it."""
    assert built.returncode == 0, built.stderr
    manifest, image_id, _ = record.manifest(checkout / "out/slim/image.tar")
    assert image_id == record.manifest(ARCHIVE)[1]
    command = [endpoint.docker, "image", "inspect", "--format", "{{.Id}}", "worker:slim"]
    named = subprocess.run(
        command, env=docker.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert named == manifest


def test_second_build_does_nothing(
    built: "subprocess.CompletedProcess[str]", checkout: Path, docker: RunningEngine
) -> None:
    """A second build with the same engine finds the image."""
    assert built.returncode == 0, built.stderr
    again = build(checkout, docker)
    assert again.returncode == 0, again.stderr
    assert "nothing to build" in again.stderr


def test_push_by_docker_keeps_the_tested_digest(
    built: "subprocess.CompletedProcess[str]", checkout: Path, docker: RunningEngine, registry: str
) -> None:
    """After `--push` the tag refers to the tested archive's manifest."""
    assert built.returncode == 0, built.stderr
    pushed = build(checkout, docker, "--tag", f"{registry}/team/worker:1", "--push")
    assert pushed.returncode == 0, pushed.stderr
    assert (
        manifest_digest(registry, "team/worker", "1")
        == record.manifest(checkout / "out/slim/image.tar")[0]
    )


@pytest.mark.parametrize("name", ["classic", "podman"])
def test_push_is_refused_by_a_store_that_would_change_the_manifest(
    name: str, checkout: Path, builder: str, registry: str, request: pytest.FixtureRequest
) -> None:
    """`--push` fails if the store would push another manifest; the registry gets no tag."""
    engine: RunningEngine = request.getfixturevalue(name)
    pushed = build(
        checkout, engine, "--builder", builder, "--tag", f"{registry}/team/{name}:1", "--push"
    )
    assert pushed.returncode in {4, 6}, pushed.stderr
    assert "containerd image store" in pushed.stderr
    assert manifest_digest(registry, f"team/{name}", "1") is None


@pytest.mark.parametrize(
    ("name", "remedy"), [("classic", "classic image store"), ("podman", "Podman 5")]
)
def test_build_without_a_builder_is_refused_before_any_work(
    name: str, remedy: str, checkout: Path, request: pytest.FixtureRequest
) -> None:
    """An engine that cannot write an OCI archive is refused with the remedy."""
    refused = build(checkout, request.getfixturevalue(name))
    assert refused.returncode == 4, refused.stderr
    assert remedy in refused.stderr
    assert "--builder" in refused.stderr
    assert "assembling" not in refused.stderr
    assert "building slim" not in refused.stderr


@pytest.mark.parametrize("name", ["docker", "classic", "podman"])
def test_harness_gives_the_same_results_on_every_engine(
    name: str, expected: Results, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every check has the same result with containers of each engine; Docker uses TLS."""
    engine: RunningEngine = request.getfixturevalue(name)
    assert results(engine, dict(engine.tls or {}), tmp_path) == expected
