"""Starts sandboxes inside the pod, from a bundle that is written there."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tests.pod.worker import Worker
from worker_images.node import runsc
from worker_images.node.node import Node
from worker_images.node.place import RUNSC, TIMEOUT_SECONDS, CommandResult, PlaceError
from worker_images.node.pod.permissions import Permissions
from worker_images.node.spec import DRIVER, Container, specification

FOLDERS = ("bin", "sbin", "lib", "lib64")
ROOT = """set -eu
cd {folder}
mkdir -p rootfs/usr/local rootfs/proc rootfs/dev rootfs/sys rootfs/tmp driver/lib64 driver/bin
mkdir -p rootfs{driver}
for name in {folders}; do
  mkdir -p rootfs/usr/$name
  [ -e rootfs/$name ] || ln -s usr/$name rootfs/$name
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
# gVisor sets its standard streams to non-blocking. With those of the open shell, later output would
# be cut off.
WITH_OWN_STREAMS = """({line}) > {folder}/output 2> {folder}/errors
status=$?
cat {folder}/output
cat {folder}/errors >&2
exit $status"""
NO_LOG = "no debug log"


@dataclass(frozen=True)
class Sandboxes:
    """Sandboxes in the pod: each command runs in a new one, with the pod's devices."""

    worker: Worker
    node: Node
    folder: str
    permissions: Permissions
    flags: tuple[str, ...] = ()

    def boot(self) -> CommandResult:
        """Start a sandbox with the pod's own root, without privileges and without devices."""
        flags = f"--rootless --network=none --ignore-cgroups --root={self.folder}/boot"
        return self._start(f"cd {self.folder} && {RUNSC} {flags} do cat /proc/version")

    def run(self, command: str) -> CommandResult:
        """Run a shell command in a sandbox with the pod's devices and driver files.

        Raises SpecError if the pod has no devices.
        """
        self._write(command)
        words = [RUNSC, f"--root={self.folder}/state", "--debug", f"--debug-log={self.folder}/log/"]
        rootless = () if self.permissions.is_admin else ("--rootless",)
        line = shlex.join([*words, *runsc.FLAGS, *rootless, *self.flags])
        return self._start(f"rm -rf {self.folder}/log; {line} run --bundle={self.folder} check")

    def _start(self, line: str) -> CommandResult:
        return self.worker.run(
            WITH_OWN_STREAMS.format(line=line, folder=self.folder), TIMEOUT_SECONDS
        )

    def log(self) -> str:
        """The debug log of the last sandbox."""
        return self.worker.run(f"cat {self.folder}/log/* 2> /dev/null").output or NO_LOG

    def _write(self, command: str) -> None:
        container = Container(Path(f"{self.folder}/rootfs"), ("/bin/sh", "-c", command), {})
        config = specification(self.node, container, Path(self.folder))
        config["mounts"] += [_program_folder(f"/usr/{name}") for name in FOLDERS]
        script = ROOT.format(
            folder=self.folder,
            driver=DRIVER,
            folders=" ".join(FOLDERS),
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
