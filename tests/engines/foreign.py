"""Docker with both image stores, Podman, BuildKit and a registry, each in a space of its own."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engines.space import ENVIRONMENT, Place, finished, in_space, remove_cgroups, running
from worker_images.engine.daemon import query

HERE = "127.0.0.1"
REGISTRY = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
"""
CERTIFICATES = """\
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=engines
signed="-CA ca.pem -CAkey ca.key -addext basicConstraints=CA:false"
openssl req -x509 $key -keyout server.key -out server.pem -subj /CN=server $signed \\
  -addext subjectAltName=IP:127.0.0.1 -addext extendedKeyUsage=serverAuth
openssl req -x509 $key -keyout key.pem -out cert.pem -subj /CN=client $signed \\
  -addext extendedKeyUsage=clientAuth
openssl req -x509 $key -keyout other.key -out other.pem -subj /CN=other
"""
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Foreign:
    """An engine that runs, by the settings with which a user's shell would name it."""

    name: str
    settings: dict[str, str]
    outer: int = 0
    tls: dict[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """A process environment in which this is the engine."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return kept | self.settings


def build(checkout: Path, engine: Foreign, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The build command in a clone, with an engine's settings."""
    command = [str(checkout / ".venv/bin/python"), "build.py", "--variant", "slim", *arguments]
    return finished(command, checkout, engine.environment)


@contextlib.contextmanager
def docker(
    where: Place, name: str, *, containerd: bool, certificates: Path | None = None
) -> Iterator[Foreign]:
    """Docker on a socket and, with certificates, on a port; no container here has a network."""
    state = where.state(name)
    host, port = f"unix://{state}/engine.sock", free_port()
    (state / "daemon.json").write_text(
        json.dumps({"features": {"containerd-snapshotter": containerd}})
    )
    command = ["dockerd", f"--config-file={state}/daemon.json", f"--host={host}"]
    command += [
        f"--data-root={state}/data",
        "--exec-root=/run/docker",
        "--pidfile=/run/dockerd.pid",
    ]
    command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    command += [f"--cgroup-parent=/{where.cgroup(name)}"]
    settings = None
    if certificates:
        files = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server.key"}
        for option, file in files.items():
            shutil.copy(certificates / file, state / file)
            command.append(f"--{option}={state}/{file}")
        address = f"tcp://{HERE}:{port}"
        command += ["--tlsverify", f"--host={address}"]
        settings = {"DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1"}
        settings["DOCKER_CERT_PATH"] = str(certificates)
    with running(where, name, command, lambda: query(host, "/_ping") is not None) as outer:
        yield Foreign(name, {"DOCKER_HOST": host}, outer, settings)


@contextlib.contextmanager
def podman(where: Place, registry: str) -> Iterator[Foreign]:
    """Podman's service, for which a registry without TLS has to be named."""
    state = where.state("podman")
    host = f"unix://{state}/engine.sock"
    named = where.root / "etc/containers/registries.conf.d/engines.conf"
    named.parent.mkdir(parents=True, exist_ok=True)
    named.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    command = ["podman", f"--root={state}/data", "--runroot=/run/podman"]
    command += ["--cgroup-manager=cgroupfs", "--events-backend=file"]
    command += ["system", "service", "--time=0", host]
    # Podman 5 warns of the first kind of control groups, and works with it.
    quiet = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    try:
        with running(
            where, "podman", command, lambda: query(host, "/_ping") is not None, **quiet
        ) as outer:
            yield Foreign("podman", {"DOCKER_HOST": host}, outer)
    finally:
        # The group of all its containers has a fixed name; where others use it, it stays.
        remove_cgroups("libpod_parent")


@contextlib.contextmanager
def buildkit(where: Place) -> Iterator[str]:
    """The address of BuildKit's daemon."""
    state = where.state("buildkit")
    path = f"{state}/engine.sock"
    group = where.cgroup("buildkit")
    (state / "buildkitd.toml").write_text(f'[worker.oci]\n  defaultCgroupParent = "/{group}"\n')
    command = ["buildkitd", f"--config={state}/buildkitd.toml", f"--addr=unix://{path}"]
    command += [f"--root={state}/data", "--oci-worker-net=host"]
    with running(where, "buildkit", command, lambda: _connects(path)):
        yield f"unix://{path}"


@contextlib.contextmanager
def registry(where: Place) -> Iterator[str]:
    """The address of a registry without TLS."""
    state = where.state("registry")
    port = free_port()
    address = f"{HERE}:{port}"
    (state / "config.yml").write_text(REGISTRY.format(folder=state, address=address))
    command = ["docker-registry", "serve", f"{state}/config.yml"]
    with running(where, "registry", command, lambda: _connects((HERE, port))):
        yield address


def certificates(where: Place) -> Path:
    """A private CA with a certificate for server and client, and another CA."""
    state = where.state("certificates")
    command = [*in_space(where, "certificates"), "sh", "-c", CERTIFICATES, "sh", str(state)]
    subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
    return state


def registered(address: str, name: str, tag: str) -> str | None:
    """The digest of the manifest that a registry has under a tag."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        path, headers = f"/v2/{name}/manifests/{tag}", {"Accept": ", ".join(MANIFESTS)}
        connection.request("HEAD", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status in {http.client.OK, http.client.NOT_FOUND}
        return answer.headers["Docker-Content-Digest"] if answer.status == http.client.OK else None


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])


def _connects(address: "str | tuple[str, int]") -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as channel:
        return channel.connect_ex(address) == 0
