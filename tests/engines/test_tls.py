"""Docker behind TLS with client certificates."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engines.engines import RunningEngine, build
from worker_images.engine.builder import find
from worker_images.engine.endpoint import PrivateEngine
from worker_images.files import ROOT


@pytest.fixture
def tls(docker: RunningEngine) -> Mapping[str, str]:
    """The settings for Docker over TLS."""
    assert docker.tls
    return docker.tls


@pytest.mark.parametrize("bundle", [None, "other.pem"])
def test_engine_is_found_over_tls(
    bundle: str | None, tls: Mapping[str, str], certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's settings find the engine, even if REQUESTS_CA_BUNDLE names another CA."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    if bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / bundle))
    for name, value in tls.items():
        monkeypatch.setenv(name, value)
    found = find(PrivateEngine(ROOT))
    assert found
    assert found.endpoint.host == tls["DOCKER_HOST"]
    assert found.daemon.containerd_store


def test_docker_context_names_the_engine_over_tls(
    tls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The engine of a docker context is found with the context's certificates."""
    private = PrivateEngine(ROOT).endpoint().docker
    program = private if Path(private).exists() else "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    folder = tls["DOCKER_CERT_PATH"]
    files = ",".join(f"{name}={folder}/{name}.pem" for name in ("ca", "cert", "key"))
    settings = f"host={tls['DOCKER_HOST']},{files}"
    command = [program, "context", "create", "remote", "--docker", settings]
    subprocess.run(command, capture_output=True, check=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "remote")
    found = find(PrivateEngine(ROOT))
    assert found
    assert found.endpoint.host == tls["DOCKER_HOST"]


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        (("ca.pem",), "certificate"),
        (("cert.pem", "key.pem"), "ca.pem"),
        (("other.pem", "cert.pem", "key.pem"), "certificate verify failed"),
    ],
)
def test_build_fails_with_the_cause_when_certificates_are_missing(
    files: tuple[str, ...], cause: str, tls: Mapping[str, str], checkout: Path, tmp_path: Path
) -> None:
    """A missing certificate, or one of another CA, is named; the exit code is 4."""
    for name in files:
        shutil.copy(Path(tls["DOCKER_CERT_PATH"]) / name, tmp_path / name.replace("other", "ca"))
    refused = build(checkout, RunningEngine("tls", {**tls, "DOCKER_CERT_PATH": str(tmp_path)}))
    assert refused.returncode == 4, refused.stderr
    assert cause in refused.stderr
    assert "Traceback" not in refused.stderr


def test_build_fails_with_the_cause_when_tls_is_not_set(
    tls: Mapping[str, str], checkout: Path
) -> None:
    """A request without TLS to a TLS port fails with a message about HTTPS."""
    refused = build(checkout, RunningEngine("plain", {"DOCKER_HOST": tls["DOCKER_HOST"]}))
    assert refused.returncode == 4, refused.stderr
    assert "HTTPS" in refused.stderr
    assert "Traceback" not in refused.stderr
