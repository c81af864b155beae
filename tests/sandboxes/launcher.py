"""Runs users' containers in a worker, as a platform's launcher does."""

import json
import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sandboxes.worker import Result, Worker
from worker_images.node import runsc, spec
from worker_images.node.limits import Limits
from worker_images.node.node import Node
from worker_images.node.spec import Container

# Users' containers need no GPU here.
NO_GPU = Node("", (), (), (), "")
# Commands of busybox.
PATH = "/bin"
UNPRIVILEGED, PRIVILEGED, HOOK_PATH = "rootless", "privileged", "runc"
# The hook path: it starts runc.
NVIDIA_RUNTIME = "nvidia-container-runtime"
# A worker without capabilities has no control group to write.
IGNORE = "--ignore-cgroups"

# Writes the root filesystem of users' containers; standard input is busybox.
ROOTFS = """set -eu
cd "$1"
mkdir -p rootfs/bin rootfs/etc rootfs/proc rootfs/dev rootfs/sys rootfs/tmp
cat > rootfs/bin/busybox
chmod 755 rootfs/bin/busybox
rootfs/bin/busybox --install rootfs/bin
touch rootfs/etc/resolv.conf
"""
Config = dict[str, Any]
Edit = Callable[[Config], None]


@dataclass(frozen=True)
class Sandbox:
    """What a user's container gets besides its command."""

    network: str = "none"
    limits: Limits = field(default_factory=Limits)
    mounts: tuple[tuple[Path, str], ...] = ()


PLAIN = Sandbox()


@dataclass(frozen=True)
class Bundle:
    """A bundle in the worker, with the name of its container and runsc's flags for it."""

    name: str
    path: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Launcher:
    """Writes bundles into a folder of the worker and runs them with one runtime."""

    worker: Worker
    folder: str
    kind: str

    @property
    def state(self) -> str:
        """The folder with the state of the runtime."""
        return f"{self.folder}/state-{self.kind}"

    def bundle(self, script: str, sandbox: Sandbox = PLAIN, edit: Edit | None = None) -> Bundle:
        """Write the bundle of a container that runs a shell script."""
        name = f"job-{secrets.token_hex(4)}"
        folder = Path(self.folder, name)
        container = Container(
            Path(self.folder, "rootfs"),
            ("/bin/sh", "-c", script),
            {"PATH": PATH},
            sandbox.mounts,
            "none",
            sandbox.network,
            sandbox.limits,
        )
        config = spec.specification(NO_GPU, container, folder)
        if edit:
            edit(config)
        self.worker('mkdir "$1"', str(folder))
        self.worker.put(f"{folder}/config.json", json.dumps(config).encode())
        flags = runsc.flags(sandbox.network, limited=bool(sandbox.limits), gpus=False)
        return Bundle(name, str(folder), flags)

    def command(self, bundle: Bundle, action: str, *more: str, options: Sequence[str] = ()) -> str:
        """Return the command line of the runtime for a bundle, as text of a shell."""
        argv = [NVIDIA_RUNTIME, f"--root={self.state}"]
        if self.kind != HOOK_PATH:
            rootless = ("--rootless", IGNORE) if self.kind == UNPRIVILEGED else ()
            argv = ["runsc", f"--root={self.state}", *rootless, *bundle.flags]
        start = [f"--bundle={bundle.path}"] if action in {"run", "create"} else []
        name = [] if action == "list" else [bundle.name]
        return shlex.join([*argv, action, *options, *start, *name, *more])

    def run(
        self, script: str, sandbox: Sandbox = PLAIN, edit: Edit | None = None, stdin: bytes = b""
    ) -> Result:
        """Run a container with a shell script until it ends."""
        return self.worker.run(self.command(self.bundle(script, sandbox, edit), "run"), stdin=stdin)


def users_root(worker: Worker, busybox: Path) -> str:
    """Write the root filesystem of users' containers, and return the folder that has it."""
    folder = worker("mktemp -d").strip()
    worker(ROOTFS, folder, stdin=busybox.read_bytes())
    return folder
