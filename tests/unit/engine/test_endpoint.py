"""Which engine is used: DOCKER_HOST, a context, or the private engine."""

import subprocess
from pathlib import Path

import pytest

from tests.support import engines
from tests.support.engines import configured, context
from worker_images.engine import builder, endpoint
from worker_images.engine.endpoint import PrivateEngine
from worker_images.errors import EngineError
from worker_images.files import ROOT


def test_context_of_the_configuration_is_followed(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    configured(tmp_path / "docker", currentContext="team")
    context(tmp_path / "docker", "team", Host=loopback.host)
    monkeypatch.setattr(endpoint, "has_buildx", lambda: True)
    found = endpoint.locate(PrivateEngine(ROOT))
    assert found
    assert found.host == loopback.host
    assert "DOCKER_CONTEXT" not in found.environment


def test_docker_host_comes_before_a_context(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured(tmp_path / "docker", currentContext="team")
    context(tmp_path / "docker", "team", Host="unix:///none.sock")
    monkeypatch.setattr(endpoint, "has_buildx", lambda: True)
    found = endpoint.locate(PrivateEngine(ROOT))
    assert found
    assert found.host == loopback.host


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("gone", None, "docker context gone cannot be read"),
        (
            "dead",
            {"Host": "unix:///none.sock"},
            "docker context dead names unix:///none.sock, which does not answer",
        ),
        ("empty", {}, "docker context empty cannot be read"),
    ],
)
def test_context_without_an_engine_is_named(
    name: str,
    settings: dict[str, object] | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", name)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if settings is not None:
        context(tmp_path, name, **settings)
    with pytest.raises(EngineError, match=words):
        endpoint.locate(PrivateEngine(ROOT))


def test_client_of_the_private_engine_starts_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script names a path of the cache, which may hold what a shell reads."""
    monkeypatch.setattr(endpoint, "ENGINE", tmp_path / 'a $HOME "b')
    private = PrivateEngine(ROOT)
    docker = private.root / "usr/bin/docker"
    docker.parent.mkdir(parents=True)
    docker.write_text("#!/bin/sh\necho docker $*\n")
    docker.chmod(0o755)
    private.write_client()
    said = subprocess.run(
        [private.client / "docker", "version"], capture_output=True, text=True, check=True
    ).stdout
    assert said == "docker version\n"


def test_a_named_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(
        EngineError, match="does not answer; start that engine, or unset DOCKER_HOST"
    ):
        builder.find(endpoint.PrivateEngine(ROOT))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{tmp_path}/out: .* GB free for images"):
        endpoint.check_space({"images": tmp_path / "out"}, 10**18)
