"""Starts sandboxes inside the pod, from a bundle that is written there."""

import json
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tests.pod.worker import Worker
from worker_images.node import runsc
from worker_images.node.node import Node
from worker_images.node.place import RUNSC, TIMEOUT_SECONDS, CommandResult, PlaceError
from worker_images.node.pod import boot
from worker_images.node.pod.permissions import Permissions
from worker_images.node.spec import DRIVER, Container, specification

# Other architectures have no /usr/lib64.
FOLDERS = "ls -d /usr/bin /usr/sbin /usr/lib /usr/lib64 2> /dev/null"
SECONDS = 90
ROOT = """set -eu
cd {folder}
mkdir -p rootfs/usr/local rootfs/proc rootfs/dev rootfs/sys rootfs/tmp driver/lib64 driver/bin
mkdir -p rootfs{driver}
for path in {folders}; do
  mkdir -p rootfs$path
  [ -e rootfs/${{path##*/}} ] || ln -s ${{path#/}} rootfs/${{path##*/}}
done
for path in {libraries}; do
  name=${{path##*/}}
  : > driver/lib64/$name
  ln -sf $name driver/lib64/${{name%%.so.*}}.so.1
  ln -sf $name driver/lib64/${{name%%.so.*}}.so
done
for path in {programs}; do : > driver/bin/${{path##*/}}; chmod 755 driver/bin/${{path##*/}}; done
for path in {devices}; do : > rootfs/dev/${{path##*/}}; done
cat > config.json << 'END'
{config}
END
"""
NO_LOG = "no debug log"


@dataclass(frozen=True)
class Sandboxes:
    """Sandboxes in the pod: each command runs in a new one, with the pod's devices."""

    worker: Worker
    node: Node
    folder: str
    permissions: Permissions
    flags: tuple[str, ...] = ()

    @property
    def mode(self) -> tuple[str, ...]:
        """How runsc runs with what the pod's user may do."""
        return () if self.permissions.is_admin else ("--rootless",)

    def boot(self) -> CommandResult:
        """Start a sandbox with the pod's own root, without devices."""
        flags = ("--network=none", "--ignore-cgroups", f"--root={self.folder}/boot")
        line = shlex.join([RUNSC, *self.mode, *flags, "do", "cat", "/proc/version"])
        return self._start(f"cd {self.folder} && {line}")

    def run(self, command: str) -> CommandResult:
        """Run a shell command in a sandbox with the pod's devices and driver files.

        Raises SpecError if the pod has no devices.
        """
        self._write(command)
        words = [RUNSC, f"--root={self.folder}/state", "--debug", f"--debug-log={self.folder}/log/"]
        line = shlex.join([*words, *runsc.FLAGS, *self.mode, *self.flags])
        # One that was killed keeps its name.
        name = f"check-{secrets.token_hex(4)}"
        return self._start(f"rm -rf {self.folder}/log; {line} run --bundle={self.folder} {name}")

    def _start(self, line: str) -> CommandResult:
        script = boot.script(line, self.folder, SECONDS)
        return self.worker.run(script, TIMEOUT_SECONDS)

    def log(self) -> str:
        """The debug log of the last sandbox."""
        return self.worker.run(f"cat {self.folder}/log/* 2> /dev/null").output or NO_LOG

    def _write(self, command: str) -> None:
        folders = self.worker.run(FOLDERS).output.split()
        container = Container(Path(f"{self.folder}/rootfs"), ("/bin/sh", "-c", command), {})
        config = specification(self.node, container, Path(self.folder))
        config["mounts"] += [_program_folder(path) for path in folders]
        script = ROOT.format(
            folder=self.folder,
            driver=DRIVER,
            folders=shlex.join(folders),
            libraries=shlex.join(map(str, self.node.libraries)),
            programs=shlex.join(map(str, self.node.programs)),
            devices=shlex.join(device.path for device in self.node.devices),
            config=json.dumps(config),
        )
        written = self.worker.run(script)
        if written.status:
            raise PlaceError(f"cannot write a bundle in the pod: {written.errors.strip()}")


def _program_folder(path: str) -> dict[str, Any]:
    """The mount of a folder of the pod, with what the container runtime mounted in it.

    A user namespace cannot bind a folder without the mounts in it.
    """
    return {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}


def make_folder(worker: Worker) -> str:
    """Create a folder in the pod; raises PlaceError."""
    made = worker.run("mktemp -d")
    folder = made.output.strip()
    if made.status or not PurePosixPath(folder).is_absolute():
        raise PlaceError(
            f"no writable folder in the pod: {made.errors.strip()}; mount an emptyDir at /tmp"
        )
    return folder
