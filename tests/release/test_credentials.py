"""Does a release log in as Docker does, trust a private CA, and keep passwords to itself?"""

import base64
import json
from pathlib import Path

import pytest

from tests.support import docker_registry, small_releases
from tests.support.docker_registry import PASSWORD, USER, Settings
from tests.support.registry_proxy import ALWAYS, Fault, proxying
from tests.support.small_releases import Factory
from worker_images.errors import RegistryError, UsageError
from worker_images.release import registry, verify

NAME = "team/worker"
HELPER = """\
#!/bin/sh
echo "$1 $(cat)" >> "$(dirname "$0")/asked"
echo '{"ServerURL": "", "Username": "USER", "Secret": "PASSWORD"}'
"""


def log_in(folder: Path, address: str, password: str = PASSWORD) -> None:
    """Write the file that `docker login` writes."""
    text = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": text}}}))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of Docker's settings."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def publish(factory: Factory, address: str, ca_file: Path | None = None, name: str = NAME) -> str:
    """Publish a release and verify it; return the lines of progress."""
    lines = list[str]()
    target = registry.connect(factory.tools, f"{address}/{name}", ca_file)
    small_releases.publish(factory.publisher(target, lines.append), factory.draft())
    verify.verify(target, ":1.0-slim", factory.verifier, (), lines.append)
    return "\n".join(lines)


def test_release_reads_credentials_of_docker_login(
    program: Path, factory: Factory, settings: Path, tmp_path: Path
) -> None:
    """Without credentials, or with a wrong password, it ends before any work and tells the fix."""
    with docker_registry.running(program, tmp_path / "r", Settings(password=True)) as address:
        advice = f"connecting to {address}: .*docker login {address}"
        with pytest.raises(RegistryError, match=advice):
            publish(factory, address)
        log_in(settings, address, "wrong")
        with pytest.raises(RegistryError, match=advice) as refused:
            publish(factory, address)
        log_in(settings, address)
        published = publish(factory, address)
    assert "tagging" in published
    assert PASSWORD not in published + str(refused.value)


def test_release_reads_credentials_of_a_helper(
    program: Path,
    factory: Factory,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper = tmp_path / "bin/docker-credential-tests"
    helper.parent.mkdir()
    helper.write_text(HELPER.replace("USER", USER).replace("PASSWORD", PASSWORD))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
    with docker_registry.running(program, tmp_path / "r", Settings(password=True)) as address:
        (settings / "config.json").write_text(json.dumps({"credHelpers": {address: "tests"}}))
        publish(factory, address)
        asked = (helper.parent / "asked").read_text().splitlines()
    assert {*asked} == {f"get {address}"}


def test_release_gets_new_tokens_when_they_expire(
    shared_registry: str, factory: Factory, settings: Path, name: str
) -> None:
    """A token is good for seven requests here. No token and no password is printed."""
    with proxying(shared_registry, token_uses=7) as proxy:
        log_in(settings, proxy.address)
        published = publish(factory, proxy.address, name=name)
        issued = [*proxy.tokens]
    assert len([token for token in issued if token.startswith("secret-")]) > 3
    assert PASSWORD not in published
    assert "secret-" not in published


def test_token_that_expires_between_the_requests_of_an_upload_is_replaced(
    shared_registry: str, factory: Factory, settings: Path, name: str
) -> None:
    """oras uses the token of the first request, POST, for the second one, PUT."""
    with proxying(shared_registry, token_uses=ALWAYS) as proxy:
        log_in(settings, proxy.address)
        # The fifth blob is that of the second attestation. oras sends no other one meanwhile.
        proxy.faults = [Fault("^PUT .*/blobs/uploads/", 401, times=1, skip=4)]
        publish(factory, proxy.address, name=name)
        assert proxy.faults[0].times == 0


def test_release_with_a_token_that_is_refused_ends_with_exit_code_6(
    shared_registry: str, factory: Factory, settings: Path, name: str
) -> None:
    """The registry asks for a token again and again; the message has no token."""
    with proxying(shared_registry, token_uses=ALWAYS) as proxy:
        log_in(settings, proxy.address)
        proxy.faults = [Fault("^PUT", 401, ALWAYS)]
        with pytest.raises(RegistryError, match="docker login") as refused:
            publish(factory, proxy.address, name=name)
        proxy.faults = [Fault("^GET /token", 403, ALWAYS)]
        with pytest.raises(RegistryError, match="docker login") as denied:
            publish(factory, proxy.address, name=name)
    for error in (refused, denied):
        assert "secret-" not in str(error.value)
        assert PASSWORD not in str(error.value)


def test_release_trusts_a_private_ca_that_is_named(
    program: Path, factory: Factory, tmp_path: Path
) -> None:
    """An unknown CA is refused before any work, with the option that names it."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    secure = Settings(certificates=docker_registry.certificates(folder))
    with docker_registry.running(program, tmp_path / "r", secure) as address:
        with pytest.raises(RegistryError, match=r"certificate.*name the CA's .* with --ca-file"):
            publish(factory, address)
        publish(factory, address, folder / "ca.pem")
        (folder / "empty.pem").touch()
        for wrong in ("empty.pem", "ca.key"):
            message = f"--ca-file {folder / wrong}: not a certificate in PEM; name the certificate"
            with pytest.raises(UsageError, match=message):
                publish(factory, address, folder / wrong)


def test_closed_port_ends_a_release_before_any_work(factory: Factory) -> None:
    with pytest.raises(RegistryError, match="connection refused; check the registry's name"):
        publish(factory, "127.0.0.1:1")
