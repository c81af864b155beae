"""The containers of these tests: a worker and its neighbour, in an engine or in a cluster."""

import contextlib
import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.sandboxes.launcher import HOOK_PATH, NVIDIA_RUNTIME, PRIVILEGED, UNPRIVILEGED
from tests.sandboxes.worker import Worker
from tests.support.neighbours import USER, server_pod
from worker_images.errors import EngineError
from worker_images.model.capabilities import RUNC, RUNSC
from worker_images.node.place import PlaceError, run_command
from worker_images.node.pod.kubectl import Pod
from worker_images.node.pod.objects import Object
from worker_images.untrusted import printable

CAPABILITIES = {UNPRIVILEGED: (), PRIVILEGED: RUNSC, HOOK_PATH: (*RUNSC, *RUNC)}
HELD = "capsh --decode=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)"
UNCONFINED = ("--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined")
PORT, GREETING, NAME = 8080, "hello from the neighbour", "neighbour.test"
SERVE = f"""mkdir -p /tmp/www && echo '{GREETING}' > /tmp/www/greeting
"$1" httpd -p {PORT} -h /tmp/www"""
RESOLVE = f"""address=$(ip -4 -o address show dev eth0 | sed 's,.*inet \\([0-9.]*\\)/.*,\\1,')
cd /tools/usr
exec lib64/ld-linux-x86-64.so.2 --library-path lib/x86_64-linux-gnu sbin/dnsmasq \\
  --keep-in-foreground --no-resolv --no-hosts --user=root --pid-file \\
  --local=/{NAME}/ --address=/{NAME}/$address"""
# Ends when both servers answer.
ANSWERS = f"""for _ in $(seq 100); do
  if /busybox nslookup {NAME} 127.0.0.1 && /busybox wget -q -O - 127.0.0.1:{PORT}/greeting; then
    exit
  fi
  sleep 0.1
done > /dev/null 2>&1
exit 1"""


@dataclass(frozen=True)
class Neighbour:
    """A server outside of the worker, with the address of its own, and a name to resolve."""

    address: str
    name: str

    @property
    def url(self) -> str:
        """A page with the greeting."""
        return f"http://{self.address}:{PORT}/greeting"


@dataclass(frozen=True)
class Engine:
    """A container engine, with the image of the workers, and folders of programs for tests."""

    docker: str
    busybox: Path
    tools: Path

    @contextlib.contextmanager
    def container(
        self, image: str, options: Sequence[str], command: Sequence[str]
    ) -> Iterator[str]:
        """Run a container for the block, and return its name; raises PlaceError."""
        name = f"sandboxes-{secrets.token_hex(6)}"
        start = [self.docker, "run", "--detach", "--rm", f"--name={name}", "--pull=never"]
        try:
            _checked([*start, *options, image, *command])
            yield name
        finally:
            run_command([self.docker, "rm", "--force", name])

    @contextlib.contextmanager
    def worker(
        self, image: str, capabilities: Sequence[str], options: Sequence[str] = ()
    ) -> Iterator[Worker]:
        """A worker with some capabilities: without any, the user is 1000."""
        user = "0:0" if capabilities else f"{USER}:{USER}"
        rights = [f"--user={user}", "--cap-drop=ALL", *UNCONFINED]
        added = [f"--cap-add={name}" for name in capabilities]
        with self.container(image, [*rights, *added, *options], ["sleep", "infinity"]) as name:
            yield Worker((self.docker, "exec", "--interactive", name))

    @contextlib.contextmanager
    def neighbour(self, image: str) -> Iterator[Neighbour]:
        """A container with a server and a name service."""
        volumes = [f"--volume={self.busybox}:/busybox:ro", f"--volume={self.tools}:/tools:ro"]
        options = [*volumes, "--entrypoint=/bin/sh"]
        with self.container(
            image, options, ["-euc", f"{SERVE}\n{RESOLVE}", "sh", "/busybox"]
        ) as name:
            look = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            _checked([self.docker, "exec", name, "/bin/sh", "-c", ANSWERS])
            address = _checked([self.docker, "inspect", f"--format={look}", name]).strip()
            yield Neighbour(address, NAME)


@dataclass(frozen=True)
class Cluster:
    """A worker's pod, and its object."""

    pod: Pod
    found: Object

    @property
    def kubectl(self) -> tuple[str, ...]:
        """kubectl with its access options."""
        return self.pod.command

    @property
    def worker(self) -> Worker:
        """The container of the pod."""
        container = f"--container={self.pod.container}"
        return Worker((*self.kubectl, "exec", "--stdin", self.pod.name, container, "--"))

    @contextlib.contextmanager
    def neighbour(self, busybox: Path) -> Iterator[Neighbour]:
        """A pod of the same image with a server; the cluster has the name service."""
        name = f"neighbour-{secrets.token_hex(4)}"
        manifest = json.dumps(server_pod(name, self.found, self.pod.container))
        try:
            _checked([*self.kubectl, "create", "--filename=-"], manifest)
            _checked([*self.kubectl, "wait", "--for=condition=Ready", f"pod/{name}"])
            server = Worker((*self.kubectl, "exec", "--stdin", name, "--"))
            folder = server("mktemp -d").strip()
            server.put(f"{folder}/busybox", busybox.read_bytes())
            server(f'chmod 755 "$1"\n{SERVE}', f"{folder}/busybox")
            address = self.pod.get("pod", name)["status"]["podIP"]
            yield Neighbour(address, self._name(self.found["spec"]["nodeName"]))
        finally:
            run_command([*self.kubectl, "delete", "--now", "--ignore-not-found", "pod", name])

    def _name(self, node: str) -> str:
        """A name that the cluster's service knows; empty without one."""
        for name in ("kubernetes.default.svc.cluster.local", f"{node}.cluster.local"):
            if self.worker.run('getent hosts "$1"', name).status == 0:
                return name
        return ""


class NotHereError(EngineError):
    """The place has no such worker."""


class NoLauncherError(EngineError):
    """The place has no worker for any launcher."""


class Place(Protocol):
    """Where workers run."""

    @property
    def neighbour(self) -> Neighbour: ...

    def worker(self, variant: str, kind: str) -> Worker:
        """Return a worker for a kind of launcher; raises NotHereError."""


@dataclass(frozen=True)
class EnginePlace:
    """Containers of an engine, which end with the stack."""

    engine: Engine
    images: Mapping[str, str]
    neighbour: Neighbour
    stack: ExitStack

    def worker(self, variant: str, kind: str) -> Worker:
        """Start a container with the least capabilities."""
        names = [f"--dns={self.neighbour.address}"]
        started = self.engine.worker(self.images[variant], CAPABILITIES[kind], names)
        return self.stack.enter_context(started)


@dataclass(frozen=True)
class PodPlace:
    """A pod, whose manifest decides what it may do."""

    cluster: Cluster
    neighbour: Neighbour
    # Why launchers do not fit the pod.
    unfit: Mapping[str, str]

    def worker(self, variant: str, kind: str) -> Worker:
        """Return the container of the pod; raises NoLauncherError."""
        if self.unfit.keys() == CAPABILITIES.keys():
            raise NoLauncherError(f"no launcher fits the pod: {'; '.join(self.unfit.values())}")
        if kind in self.unfit:
            raise NotHereError(f"{variant}: {self.unfit[kind]}")
        return self.cluster.worker


def unfit(worker: Worker) -> dict[str, str]:
    """Why a container's user, capabilities and programs do not fit a launcher, by its kind."""
    held = {*worker(HELD).strip().rpartition("=")[2].split(",")}
    found: dict[str, str] = {}
    for kind, names in CAPABILITIES.items():
        if missing := {f"cap_{name.lower()}" for name in names} - held:
            found[kind] = f"the pod does not have {', '.join(sorted(missing))}"
    if worker("id -u").strip() == "0":
        found[UNPRIVILEGED] = "the pod's user is root"
    if worker.run(f"command -v {NVIDIA_RUNTIME}").status:
        found[HOOK_PATH] = f"the pod's image has no {NVIDIA_RUNTIME}"
    return found


def _checked(command: Sequence[str], text: str = "") -> str:
    """Run a command and return its output; raises PlaceError with its message."""
    found = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if found.returncode:
        raise PlaceError(f"{' '.join(command[:2])}: {printable(found.stderr).strip()}")
    return found.stdout
