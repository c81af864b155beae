"""Docker with both image stores, Podman, BuildKit and a registry, in their own namespaces."""

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

from tests.engines.space import (
    ENVIRONMENT,
    RunFolder,
    namespace_command,
    remove_cgroups,
    run_command,
    running,
)
from worker_images.engine.daemon import query

LOOPBACK = "127.0.0.1"
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
class RunningEngine:
    """A running engine, with the environment variables that select it."""

    name: str
    settings: dict[str, str]
    outer: int = 0
    tls: dict[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that uses this engine."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return kept | self.settings


def build(
    checkout: Path, engine: RunningEngine, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run the build command in a clone with an engine's settings."""
    command = [str(checkout / ".venv/bin/python"), "build.py", "--variant", "slim", *arguments]
    return run_command(command, checkout, engine.environment)


@contextlib.contextmanager
def docker(
    run_folder: RunFolder, name: str, *, containerd: bool, certificates: Path | None = None
) -> Iterator[RunningEngine]:
    """Run Docker without container networks, on a socket and, with certificates, on a TCP port."""
    state = run_folder.state(name)
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
    command += [f"--cgroup-parent=/{run_folder.cgroup(name)}"]
    settings = None
    if certificates:
        files = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server.key"}
        for option, file in files.items():
            shutil.copy(certificates / file, state / file)
            command.append(f"--{option}={state}/{file}")
        address = f"tcp://{LOOPBACK}:{port}"
        command += ["--tlsverify", f"--host={address}"]
        settings = {"DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1"}
        settings["DOCKER_CERT_PATH"] = str(certificates)
    with running(run_folder, name, command, lambda: query(host, "/_ping") is not None) as outer:
        yield RunningEngine(name, {"DOCKER_HOST": host}, outer, settings)


@contextlib.contextmanager
def podman(run_folder: RunFolder, registry: str) -> Iterator[RunningEngine]:
    """Run Podman's service, configured for a registry without TLS."""
    state = run_folder.state("podman")
    host = f"unix://{state}/engine.sock"
    configuration = run_folder.root / "etc/containers/registries.conf.d/engines.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    command = ["podman", f"--root={state}/data", "--runroot=/run/podman"]
    command += ["--cgroup-manager=cgroupfs", "--events-backend=file"]
    command += ["system", "service", "--time=0", host]
    # Podman 5 warns about cgroup v1 but works with it.
    quiet = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    try:
        with running(
            run_folder, "podman", command, lambda: query(host, "/_ping") is not None, **quiet
        ) as outer:
            yield RunningEngine("podman", {"DOCKER_HOST": host}, outer)
    finally:
        # The parent group has a fixed name; it is not removed while other containers use it.
        remove_cgroups("libpod_parent")


@contextlib.contextmanager
def buildkit(run_folder: RunFolder) -> Iterator[str]:
    """Run BuildKit's daemon; yield its address."""
    state = run_folder.state("buildkit")
    path = f"{state}/engine.sock"
    group = run_folder.cgroup("buildkit")
    (state / "buildkitd.toml").write_text(f'[worker.oci]\n  defaultCgroupParent = "/{group}"\n')
    command = ["buildkitd", f"--config={state}/buildkitd.toml", f"--addr=unix://{path}"]
    command += [f"--root={state}/data", "--oci-worker-net=host"]
    with running(run_folder, "buildkit", command, lambda: _connects(path)):
        yield f"unix://{path}"


@contextlib.contextmanager
def registry(run_folder: RunFolder) -> Iterator[str]:
    """Run a registry without TLS; yield its address."""
    state = run_folder.state("registry")
    port = free_port()
    address = f"{LOOPBACK}:{port}"
    (state / "config.yml").write_text(REGISTRY.format(folder=state, address=address))
    command = ["docker-registry", "serve", f"{state}/config.yml"]
    with running(run_folder, "registry", command, lambda: _connects((LOOPBACK, port))):
        yield address


def certificates(run_folder: RunFolder) -> Path:
    """Make a private CA, certificates for server and client, and another CA; return the folder."""
    state = run_folder.state("certificates")
    command = [
        *namespace_command(run_folder, "certificates"),
        "sh",
        "-c",
        CERTIFICATES,
        "sh",
        str(state),
    ]
    subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
    return state


def manifest_digest(address: str, name: str, tag: str) -> str | None:
    """Return the manifest digest of a tag in a registry; None if the tag does not exist."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        path, headers = f"/v2/{name}/manifests/{tag}", {"Accept": ", ".join(MANIFESTS)}
        connection.request("HEAD", path, headers=headers)
        response = connection.getresponse()
        assert response.status in {http.client.OK, http.client.NOT_FOUND}
        found = response.status == http.client.OK
        return response.headers["Docker-Content-Digest"] if found else None


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return int(free.getsockname()[1])


def _connects(address: "str | tuple[str, int]") -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as channel:
        return channel.connect_ex(address) == 0
