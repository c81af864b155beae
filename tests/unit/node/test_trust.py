"""Programs of an image run as root only if it was built here, or with --trust."""

import json
import os
from pathlib import Path

import pytest

from tests.support import archives
from worker_images.files import ROOT
from worker_images.node import trust
from worker_images.node.cli import main

WORKLOAD = ["workload", "--variant", "slim"]
COMMANDS = (WORKLOAD, ["verify"])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The archive of an image that was not built here."""
    return archives.write(tmp_path / "image.tar", [archives.layer(("file", "etc/hello", "x"))])


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The root of an image, whose ID is unknown."""
    root = tmp_path / "root"
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/runsc").touch()
    return root


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("kind", ["image", "unpacked"])
def test_command_refuses_an_image_that_was_not_built_here(
    kind: str,
    command: list[str],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = request.getfixturevalue(kind)
    assert main([*command, "--image", str(path)], ROOT) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        f"{command[0]}: {path} was not built here, and its programs would run as root on this"
        " machine; add --trust if you trust it\n"
    )


@pytest.mark.parametrize("place", ["unpacked", "engine"])
def test_workload_refuses_an_image_of_the_engine_that_was_not_built_here(
    place: str, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --place engine the archive and the image of the engine must both be known."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho sha256:other\n")
    docker.chmod(0o755)
    monkeypatch.setenv("WORKER_DOCKER", str(docker))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "build.json").write_text(json.dumps({"image_id": trust.image_id(image)}))
    command = [*WORKLOAD, "--image", str(image), "--place", place]
    # Without tests in this folder pytest ends with an error.
    assert main(command, tmp_path) == (2 if place == "engine" else 4)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_trusted_image_is_announced(
    command: list[str], image: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The checks that follow fail: the image has no runsc."""
    results = {"workload": ["--results", str(tmp_path)]}.get(command[0], [])
    assert main([*command, *results, "--image", str(image), "--trust"], ROOT) in {0, 5}
    assert f"» programs of {image} run as root on this machine\n" in capsys.readouterr().err
