"""Engines: which one is found, what it is, whether it can build, and what it is told to push."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit import engines
from worker_images.engine import builder, daemon, endpoint, images, push, sdk, ssh
from worker_images.engine.builder import Builder
from worker_images.engine.daemon import Address
from worker_images.engine.endpoint import Endpoint, PrivateEngine
from worker_images.engine.sdk import Daemon
from worker_images.errors import EngineError, RegistryError
from worker_images.files import ROOT

OWN = Builder("default", "docker", "v0.20.0")
DOCKER = Daemon("Docker", "28.5.2", containerd_store=True)
TESTED, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
REFERENCE = "registry.example/team/worker:1"
IMAGE = "/images/registry.example/team/worker:1/json"
REGISTRY = "/distribution/registry.example/team/worker:1/json"
PUSH = "/images/registry.example/team/worker/push"


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Engine]:
    """A Docker with the containerd store, which the environment names.

    No configuration of the user's is read.
    """
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    with engines.serving(tmp_path) as found:
        found.is_a(engines.DOCKER, engines.CONTAINERD)
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found


def configured(folder: Path, **settings: object) -> None:
    """Write config.json of the docker command."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))


def context(folder: Path, name: str, **endpoint: object) -> Path:
    """Write a docker context as `docker context create` does, and return its folder of TLS
    files.
    """
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    return folder / "contexts/tls" / key / "docker"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("v0.13.2", (0, 13, 2)),
        ("28.5", (28, 5, 0)),
        ("dev", ()),
        ("v0.0.0+unknown", ()),
        ("unknown", ()),
        ("", ()),
    ],
)
def test_version_numbers_are_read_where_there_are_any(text: str, found: tuple[int, ...]) -> None:
    assert builder.numbers(text) == found


def test_docker_with_the_classic_store_is_refused_with_both_remedies() -> None:
    classic = Daemon("Docker", "28.5.2", containerd_store=False)
    with pytest.raises(
        EngineError, match=r"classic image store.*containerd-snapshotter.*docker buildx create"
    ):
        builder.check_daemon(classic, OWN)


@pytest.mark.parametrize(
    ("version", "buildkit"),
    [("25.0.5", "v0.0.0+unknown"), ("26.1.0", "v0.13.1"), ("dev", "v0.12.5")],
)
def test_docker_too_old_is_refused(version: str, buildkit: str) -> None:
    with pytest.raises(EngineError, match="needed"):
        builder.check_daemon(
            Daemon("Docker", version, containerd_store=True), Builder("default", "docker", buildkit)
        )


@pytest.mark.parametrize(
    ("version", "buildkit", "warnings"),
    [("26.1.5+dfsg1", "v0.0.0+unknown", 0), ("dev", "v0.20.2", 0), ("dev", "dev", 1)],
)
def test_docker_without_comparable_version_is_a_warning(
    version: str, buildkit: str, warnings: int
) -> None:
    found = builder.check_daemon(
        Daemon("Docker", version, containerd_store=True), Builder("default", "docker", buildkit)
    )
    assert len(found) == warnings


@pytest.mark.parametrize(
    ("version", "passes"),
    [("v0.12.5", False), ("v0.13.1", False), ("v0.13.2", True), ("v0.34.2", True)],
)
def test_builder_is_refused_below_buildkit_0_13_2(version: str, *, passes: bool) -> None:
    found = builder.builder_of(
        "Name: worker\nDriver: docker-container\n\nNodes:\nName: worker0\nBuildKit version:"
        f" {version}\n"
    )
    assert found == Builder("worker", "docker-container", version)
    if passes:
        assert builder.check_buildkit(found) == ()
        return
    with pytest.raises(
        EngineError, match=rf"builder worker .*{version}.* is too old, 0\.13\.2 is needed"
    ):
        builder.check_buildkit(found)


def test_builder_without_comparable_version_is_a_warning() -> None:
    (warning,) = builder.check_buildkit(Builder("worker", "remote", "v0.0.0+unknown"))
    assert "builder worker (remote driver, BuildKit v0.0.0+unknown)" in warning


def engine_of(found: engines.Engine, inspected: str, name: str | None = None) -> Endpoint:
    """An engine whose buildx prints this for `inspect`."""
    return Endpoint(Address(found.host), ("sh", "-c", f"printf '{inspected}'"), "docker", name)


# What buildx 0.29 prints for Podman's socket: it takes it for a daemon that it may start BuildKit
# in.
PODMANS = "Name: default\\nDriver: docker-container\\nStatus: inactive\\n"


def test_podman_without_a_builder_is_named_with_what_works(loopback: engines.Engine) -> None:
    loopback.is_a(engines.PODMAN, engines.CLASSIC)
    with pytest.raises(
        EngineError, match=r"Podman 5\.8\.6 answers .* has no BuildKit .*--builder worker"
    ):
        builder.buildable(engine_of(loopback, PODMANS))


def test_podman_with_a_builder_can_build_and_not_push(loopback: engines.Engine) -> None:
    loopback.is_a(engines.PODMAN, engines.CLASSIC)
    found = builder.buildable(
        engine_of(
            loopback, "Name: worker\\nDriver: remote\\nBuildKit version: v0.34.2\\n", "worker"
        )
    )
    assert (
        str(found)
        == "Podman 5.8.6, Podman's image store, builder worker (remote driver, BuildKit v0.34.2)"
    )
    with pytest.raises(
        EngineError, match=r"--push: Podman 5\.8\.6 .*skopeo copy oci-archive:out/slim/image\.tar"
    ):
        builder.check_push(found, "slim")


def test_classic_store_with_a_builder_can_build_and_not_push(loopback: engines.Engine) -> None:
    loopback.is_a(engines.DOCKER, engines.CLASSIC)
    found = builder.buildable(
        engine_of(
            loopback, "Name: worker\\nDriver: remote\\nBuildKit version: v0.34.2\\n", "worker"
        )
    )
    with pytest.raises(EngineError, match=r"--push: Docker 28\.5\.2"):
        builder.check_push(found, "slim")


def test_containerd_store_can_push(loopback: engines.Engine) -> None:
    """The control of the two tests above."""
    found = builder.buildable(
        engine_of(loopback, "Name: default\\nDriver: docker\\nBuildKit version: v0.20.0\\n")
    )
    assert builder.check_push(found, "slim") is None  # type: ignore[func-returns-value]


def test_default_context_is_the_machines_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert daemon.current_context() == "default"
    configured(tmp_path, auths={})
    assert daemon.current_context() == "default"
    (tmp_path / "config.json").write_text("not JSON")
    assert daemon.current_context() == "default"


def test_context_of_the_configuration_is_followed(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    configured(tmp_path / "docker", currentContext="team")
    context(tmp_path / "docker", "team", Host=loopback.host)
    monkeypatch.setattr(endpoint, "has_docker_with_buildx", lambda: True)
    found = endpoint.locate(PrivateEngine(ROOT))
    assert found
    assert found.host == loopback.host
    assert "DOCKER_CONTEXT" not in found.environment


def test_docker_host_comes_before_a_context(
    loopback: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured(tmp_path / "docker", currentContext="team")
    context(tmp_path / "docker", "team", Host="unix:///none.sock")
    monkeypatch.setattr(endpoint, "has_docker_with_buildx", lambda: True)
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


@pytest.mark.parametrize(("skip", "switch"), [(False, "DOCKER_TLS_VERIFY"), (True, "DOCKER_TLS")])
def test_context_with_tls_passes_its_files_on(
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


def test_tls_of_the_environment_is_of_tcp_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert daemon.address_of("tcp://engine.example:2376") == Address(
        "tcp://engine.example:2376", tmp_path
    )
    assert daemon.address_of("unix:///run/docker.sock") == Address("unix:///run/docker.sock")


def test_tls_without_its_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"there is no {tmp_path}/ca\.pem; set DOCKER_CERT_PATH"):
        sdk.described(Address("tcp://127.0.0.1:9", tmp_path))


@pytest.mark.parametrize(
    "body", ['{"errorDetail": {"message": "broken"}}', "[]", '"text"', "7", "plain text", "", "{"]
)
def test_error_that_the_sdk_cannot_read_is_an_engines(body: str, loopback: engines.Engine) -> None:
    loopback.answer("/info", body, 500)
    with pytest.raises(EngineError, match=loopback.host):
        sdk.described(Address(loopback.host))


def test_tag_that_names_another_image_is_not_moved(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"Descriptor": {"digest": OTHER}})
    with pytest.raises(
        RegistryError, match=f"the tag exists with another image, {OTHER}; choose another tag"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_tag_that_names_the_image_is_success_without_a_push(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"Descriptor": {"digest": TESTED}})
    push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_engine_that_names_the_image_otherwise_does_not_push(loopback: engines.Engine) -> None:
    loopback.answer(IMAGE, {"Id": OTHER})
    with pytest.raises(
        RegistryError, match="would push another manifest than the tested archive's"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


def test_registry_that_cannot_be_asked_gets_no_push(loopback: engines.Engine) -> None:
    loopback.answer(REGISTRY, {"message": "dial tcp: connection refused"}, 500)
    with pytest.raises(
        RegistryError, match="connection refused; check the registry's name, the network"
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" not in loopback.requests


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_absent_or_hidden_tag_is_pushed(status: int, loopback: engines.Engine) -> None:
    """Registries that hide a repository without a login hide a missing one alike.

    The push itself is refused there.
    """
    words = {
        401: "unauthorized",
        403: "denied: requested access to the resource is denied",
        404: "",
        500: "manifest unknown",
    }
    loopback.answer(REGISTRY, {"message": words[status]}, status)
    loopback.answer(IMAGE, {"Id": TESTED})
    loopback.answer(PUSH, '{"error": "refused here"}\r\n')
    with pytest.raises(RegistryError, match="refused here"):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert f"POST {PUSH}" in loopback.requests


@pytest.mark.parametrize(
    "settings", [{"credsStore": "nowhere"}, {"credHelpers": {"registry.example": "nowhere"}}]
)
def test_missing_credential_helper_is_named_with_its_file(
    settings: dict[str, object], loopback: engines.Engine, tmp_path: Path
) -> None:
    configured(tmp_path / "docker", **settings)
    with pytest.raises(
        RegistryError,
        match=rf"{tmp_path}/docker/config\.json: .*docker-credential-nowhere.*credsStore",
    ):
        push.push(Address(loopback.host), REFERENCE, TESTED)
    assert not [request for request in loopback.requests if request.startswith("POST")]


@pytest.mark.parametrize(("status", "fails"), [(409, False), (404, False), (500, True)])
def test_image_in_use_is_left_where_it_is(
    status: int, fails: bool, loopback: engines.Engine
) -> None:
    """A second test of the same image has a container of it."""
    loopback.answer(f"/images/{TESTED}/json", {"Id": TESTED, "RepoTags": []})
    loopback.answer(
        f"/images/{TESTED}", {"message": "unable to delete: image is being used"}, status
    )
    if fails:
        with pytest.raises(EngineError, match="unable to delete"):
            images.Images(Address(loopback.host)).remove(TESTED)
        return
    images.Images(Address(loopback.host)).remove(TESTED)
    assert f"DELETE /images/{TESTED}" in loopback.requests


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ssh://engine", ["ssh", "-T"]),
        ("ssh://user@engine", ["ssh", "-l", "user", "-T"]),
        ("ssh://user@engine:2222", ["ssh", "-l", "user", "-p", "2222", "-T"]),
    ],
)
def test_ssh_leaves_to_its_configuration_what_the_address_does_not_name(
    host: str, words: list[str]
) -> None:
    command = ssh.command(host)
    assert command[: len(words)] == words
    assert command[-5:] == ["--", "engine", "docker", "system", "dial-stdio"]


# What `docker system dial-stdio` does: standard input and output are a connection to the engine.
DIAL = """#!{python}
import os, socket, threading
channel = socket.socket(socket.AF_UNIX)
channel.connect({path!r})
def send():
    while data := os.read(0, 65536):
        channel.sendall(data)
    channel.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := channel.recv(65536):
    os.write(1, data)
"""


def test_engine_behind_ssh_is_reached(
    loopback: engines.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for ssh, which connects to the loopback engine."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(
        DIAL.format(python=sys.executable, path=loopback.host.removeprefix("unix://"))
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert sdk.described(Address("ssh://engine")) == DOCKER
    assert "GET /info" in loopback.requests


def test_missing_ssh_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        EngineError, match="ssh://engine is reached by the ssh command, which is not here"
    ):
        sdk.described(Address("ssh://engine"))


def test_builder_of_another_context_is_refused_with_the_way_there(loopback: engines.Engine) -> None:
    inspected = "Name: team\\nDriver: docker\\nBuildKit version: v0.20.0\\n"
    with pytest.raises(
        EngineError,
        match="builder team is the engine of another docker context; set DOCKER_CONTEXT=team",
    ):
        builder.buildable(engine_of(loopback, inspected, "team"))


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
