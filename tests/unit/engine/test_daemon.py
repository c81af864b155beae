"""The engine's address, from docker's settings."""

from pathlib import Path

import pytest

from tests.support.engines import configured, context
from worker_images.engine import daemon
from worker_images.engine.daemon import Address


def test_context_is_default_without_a_valid_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert daemon.current_context() == "default"
    configured(tmp_path, auths={})
    assert daemon.current_context() == "default"
    (tmp_path / "config.json").write_text("not JSON")
    assert daemon.current_context() == "default"


@pytest.mark.parametrize(("skip", "switch"), [(False, "DOCKER_TLS_VERIFY"), (True, "DOCKER_TLS")])
def test_context_with_tls_sets_the_folder_of_its_files(
    skip: bool, switch: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    folder = context(tmp_path, "far", Host="tcp://engine.example:2376", SkipTLSVerify=skip)
    folder.mkdir(parents=True)
    found = daemon.context_address("far")
    assert found == Address("tcp://engine.example:2376", folder, verify=not skip)
    assert found.environment == {
        "DOCKER_HOST": "tcp://engine.example:2376",
        "DOCKER_CERT_PATH": str(folder),
        switch: "1",
    }


def test_tls_settings_of_the_environment_apply_to_tcp_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert daemon.address_of("tcp://engine.example:2376") == Address(
        "tcp://engine.example:2376", tmp_path
    )
    assert daemon.address_of("unix:///run/docker.sock") == Address("unix:///run/docker.sock")
