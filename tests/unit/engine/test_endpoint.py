"""The engine that is used: of DOCKER_HOST, of a context, or the private one."""

import subprocess
from pathlib import Path

import pytest

from tests.support import engines
from tests.support.engines import configured, context
from worker_images.engine import builder, endpoint
from worker_images.engine.endpoint import PrivateEngine
from worker_images.errors import EngineError
from worker_images.files import ROOT


def test_context_of_the_configuration_is_used(
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


def test_docker_host_overrides_a_context(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured(tmp_path / "docker", currentContext="team")
    context(tmp_path / "docker", "team", Host="unix:///none.sock")
    monkeypatch.setattr(endpoint, "has_buildx", lambda: True)
    found = endpoint.locate(PrivateEngine(ROOT))
    assert found
    assert found.host == loopback.host


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gone", None, "docker context gone cannot be read"),
        (
            "dead",
            {"Host": "unix:///none.sock"},
            "context dead: cannot connect to the Docker daemon at unix:///none.sock: no such file",
        ),
        ("empty", {}, "docker context empty cannot be read"),
    ],
)
def test_context_without_an_engine_is_an_error(
    name: str,
    settings: dict[str, object] | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", name)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if settings is not None:
        context(tmp_path, name, **settings)
    with pytest.raises(EngineError, match=message):
        endpoint.locate(PrivateEngine(ROOT))


def test_client_of_the_private_engine_starts_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script quotes paths, which may contain characters that a shell expands."""
    monkeypatch.setattr(endpoint, "ENGINE", tmp_path / 'a $HOME "b')
    private = PrivateEngine(ROOT)
    docker = private.root / "usr/bin/docker"
    docker.parent.mkdir(parents=True)
    docker.write_text("#!/bin/sh\necho docker $*\n")
    docker.chmod(0o755)
    private.write_client()
    printed = subprocess.run(
        [private.client / "docker", "version"], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "docker version\n"


def test_missing_socket_in_docker_host_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = f"unix://{tmp_path}/none.sock"
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError) as caught:
        builder.find(endpoint.PrivateEngine(ROOT))
    assert str(caught.value) == (
        f"DOCKER_HOST: cannot connect to the Docker daemon at {host}: no such file or directory;"
        " start that engine, or unset DOCKER_HOST"
    )


def test_socket_that_is_not_an_engines_is_an_error(
    loopback: engines.Engine, tmp_path: Path
) -> None:
    loopback.answer("/_ping", "", 500)
    with pytest.raises(EngineError, match=rf"at unix://{tmp_path}/engine\.sock: no response;"):
        builder.find(endpoint.PrivateEngine(ROOT))


def test_disk_with_too_little_space_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{tmp_path}/out: .* GB free for images"):
        endpoint.check_space({"images": tmp_path / "out"}, 10**18)
