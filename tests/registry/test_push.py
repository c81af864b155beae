"""Does a registry receive exactly the image that was tested? Debian's docker-registry runs here."""

import hashlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import commands, docker_registry
from tests.support.docker_registry import Settings, running
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docker-registry program of Debian's package."""
    return docker_registry.program(tmp_path_factory.mktemp("registry"))


@pytest.fixture(autouse=True)
def remove_tags(endpoint: Endpoint) -> Iterator[None]:
    """Remove the tags that a test made in the engine."""
    yield
    environment = endpoint.environment
    listed = subprocess.run(
        [
            endpoint.docker,
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "127.0.0.1:*/team/worker",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split():
        subprocess.run(
            [endpoint.docker, "rmi", name], env=environment, capture_output=True, check=True
        )


def push(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "build.py", "--variant", "slim", "--tag", name, "--push"]
    return commands.run(command, cwd=ROOT)


def digest_at(address: str) -> str:
    """Return the manifest digest that a registry serves for the tests' tag."""
    request = urllib.request.Request(
        f"http://{address}/v2/team/worker/manifests/1",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return f"sha256:{hashlib.sha256(response.read()).hexdigest()}"


def test_registry_serves_the_tested_manifest(program: Path, tmp_path: Path) -> None:
    """A second push of the same image succeeds too."""
    with running(program, tmp_path) as address:
        for _ in range(2):
            result = push(f"{address}/team/worker:1")
            assert result.returncode == 0, result.stderr
            assert (
                digest_at(address)
                == json.loads((ROOT / "out/slim/build.json").read_text())["manifest_digest"]
            )


def test_push_fails_if_the_tag_has_another_image(
    program: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    """A push never moves a tag that another image has."""
    with running(program, tmp_path) as address:
        name, docker = f"{address}/team/worker:1", endpoint.docker
        for command in ([docker, "tag", "worker:full", name], [docker, "push", name]):
            subprocess.run(command, env=endpoint.environment, capture_output=True, check=True)
        other = digest_at(address)
        result = push(name)
        assert result.returncode == 6
        assert f"pushing {name}: the tag exists with another image, {other}" in result.stderr
        assert digest_at(address) == other


def test_push_to_a_readonly_registry_ends_with_exit_code_6(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, Settings(readonly=True)) as address:
        result = push(f"{address}/team/worker:1")
    assert result.returncode == 6
    assert f"pushing {address}/team/worker:1: " in result.stderr


def test_push_without_a_registry_ends_with_exit_code_6() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = push(f"127.0.0.1:{closed.getsockname()[1]}/team/worker:1")
    assert result.returncode == 6
    assert "connection refused" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--push"],
        ["--push", "--tag", "worker:1"],
        ["--push", "--tag", "r.example/worker:1", "--no-test"],
    ],
)
def test_push_needs_a_tested_image_and_a_registry(arguments: list[str]) -> None:
    command = [sys.executable, "build.py", "--variant", "slim", *arguments]
    result = commands.run(command, cwd=ROOT)
    assert (result.returncode, result.stdout) == (2, "")
    assert "--push: only a tested image" in result.stderr
