"""scripts/hosted and scripts/publish, with stand-ins for the programs that they start."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.cli import release
from worker_images.files import ROOT
from worker_images.model import seal

WORKFLOW = {
    "GITHUB_REF_NAME": "v1.4.0",
    "GITHUB_REPOSITORY": "Team/Worker",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_WORKFLOW_REF": "Team/Worker/.github/workflows/release.yaml@refs/tags/v1.4.0",
}
IDENTITY = "https://github.com/Team/Worker/.github/workflows/release.yaml@refs/tags/v1.4.0"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs that write down how they were started."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("apt-get", "sysctl", "systemctl", "docker"):
        (folder / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/log\ncat >>{tmp_path}/log\n'
        )
        (folder / name).chmod(0o755)
    return folder


def environment(machine: Path, values: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": f"{machine}:{os.environ['PATH']}", **values}


@pytest.mark.parametrize("before", [None, {"features": {"cdi": True}, "bip": "10.0.0.1/24"}])
def test_runner_gets_namespaces_and_a_store_that_writes_archives(
    before: dict[str, object] | None, machine: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "daemon.json"
    if before:
        settings.write_text(json.dumps(before))
    command = [ROOT / "scripts/hosted", settings]
    result = commands.run(command, env=environment(machine, {}))
    assert result.returncode == 0, result.stderr
    started = (tmp_path / "log").read_text().splitlines()
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in started
    assert started[-1] == "systemctl restart docker.service"
    found = json.loads(settings.read_text())
    assert found["features"]["containerd-snapshotter"] is True
    assert {**found, "features": {**found["features"]}}.keys() >= (before or {}).keys()


def test_publish_releases_as_the_identity_of_the_workflow(machine: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / "scripts/publish").write_text((ROOT / "scripts/publish").read_text())
    (checkout / "scripts/publish").chmod(0o755)
    (checkout / "build.py").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (checkout / "build.py").chmod(0o755)
    command: list[str | Path] = [checkout / "scripts/publish", "release"]
    result = commands.run(command, env=environment(machine, WORKFLOW))
    words = result.stdout.splitlines()
    assert words == [
        *("release", "--variant", "all", "--version", "1.4.0"),
        *("--no-build", "--results", "out/arm64/slim", "--results", "out/arm64/full"),
        *("--results-key", "out/arm64/results.key"),
        *("--results-key", "out/keys/build.key"),
        *("--to", "ghcr.io/team/worker", "--keyless"),
        *("--identity", IDENTITY, "--issuer", "https://token.actions.githubusercontent.com"),
        *("--builder-id", IDENTITY),
    ]
    assert release.parser().parse_args(words[1:]).keyless


def test_key_of_results_is_copied(machine: Path, tmp_path: Path) -> None:
    key = tmp_path / "cache/worker-images" / seal.OWN_KEY
    values = environment(machine, {"HOME": "/none", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    command: list[str | Path] = [ROOT / "scripts/publish", "key", tmp_path / "keys/a.key"]
    missing = commands.run(command, env=values)
    assert missing.returncode == 2
    assert f"{key} does not exist; run the tests" in missing.stderr
    seal.create(key)
    assert commands.run(command, env=values).returncode == 0
    assert (tmp_path / "keys/a.key").read_text() == key.read_text()


def test_password_is_in_no_command_line(machine: Path, tmp_path: Path) -> None:
    values = {"GITHUB_ACTOR": "somebody", "REGISTRY_PASSWORD": "secret word"}
    result = commands.run([ROOT / "scripts/publish", "login"], env=environment(machine, values))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "log").read_text().splitlines() == [
        "docker login ghcr.io --username somebody --password-stdin",
        "secret word",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("login",), "publish: GITHUB_ACTOR is not set; run this in release.yaml"),
        (("release",), "publish: GITHUB_REF_NAME is not set; run this in release.yaml"),
        ((), "usage: scripts/publish login"),
        (("slim",), "usage: scripts/publish login"),
    ],
)
def test_publish_outside_of_the_workflow_is_exit_2(
    arguments: tuple[str, ...], message: str, machine: Path
) -> None:
    result = commands.run([ROOT / "scripts/publish", *arguments], env=environment(machine, {}))
    assert result.returncode == 2
    assert result.stderr.startswith(message)
