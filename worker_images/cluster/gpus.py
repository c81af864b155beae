"""The node's GPUs as a CDI specification: stand-ins of the shape that nvidia-ctk writes.

https://github.com/cncf-tags/container-device-interface
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker_images.cluster.settings import CDI_VERSION
from worker_images.node.node import FRONTEND_MAJOR
from worker_images.node.stand_in import NVIDIA

# The driver's character devices besides those of the GPUs.
CONTROL = tuple(each for each in NVIDIA if each[0] != "nvidia0")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
HOOK = "/usr/local/bin/nvidia-cdi-hook"


def make_devices(folder: Path, gpus: int) -> None:
    """Create the stand-ins of the devices; no driver is behind them. Needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    frontends = tuple((f"nvidia{number}", FRONTEND_MAJOR, number) for number in range(gpus))
    for name, major, minor in (*CONTROL, *frontends):
        path = folder / name
        path.unlink(missing_ok=True)
        os.mknod(path, stat.S_IFCHR, os.makedev(major, minor))
        path.chmod(0o666)


def specification(devices: str, libraries: Sequence[str], gpus: int) -> Mapping[str, object]:
    """Return a CDI specification; `devices` and `libraries` are paths on the node."""
    names = [Path(path).name for path in libraries]
    links = [f"{name}::{LIBRARIES}/{name.partition('.so')[0]}.so.1" for name in names]
    return {
        "cdiVersion": CDI_VERSION,
        "kind": "nvidia.com/gpu",
        "devices": [
            *(_device(str(number), devices, [number]) for number in range(gpus)),
            _device("all", devices, range(gpus)),
        ],
        "containerEdits": {
            "env": ["NVIDIA_VISIBLE_DEVICES=void"],
            "deviceNodes": [_node(devices, name) for name, _, _ in CONTROL],
            "mounts": [
                {
                    "hostPath": path,
                    "containerPath": f"{LIBRARIES}/{Path(path).name}",
                    "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"],
                }
                for path in libraries
            ],
            "hooks": [
                _hook("create-symlinks", "--link", links),
                _hook("update-ldcache", "--folder", [LIBRARIES]),
            ],
        },
    }


def _device(name: str, devices: str, numbers: Sequence[int] | range) -> dict[str, object]:
    nodes = [_node(devices, f"nvidia{number}") for number in numbers]
    return {"name": name, "containerEdits": {"deviceNodes": nodes}}


def _node(devices: str, name: str) -> dict[str, str]:
    return {"path": f"/dev/{name}", "hostPath": f"{devices}/{name}"}


def _hook(name: str, option: str, values: Sequence[str]) -> dict[str, object]:
    pairs = [word for value in values for word in (option, value)]
    arguments = ["nvidia-cdi-hook", name, *pairs]
    return {"hookName": "createContainer", "path": HOOK, "args": arguments}
