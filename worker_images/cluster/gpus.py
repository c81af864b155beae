"""The node's GPUs as a CDI specification: of nvidia-ctk, or of stand-ins in the same shape.

https://github.com/cncf-tags/container-device-interface
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker_images.cluster.settings import CDI_VERSION
from worker_images.node import stand_in
from worker_images.node.node import FRONTEND_MAJOR
from worker_images.node.stand_in import NVIDIA

# The driver's character devices besides those of the GPUs.
CONTROL = tuple(each for each in NVIDIA if each[0] != "nvidia0")
HOOK = "/usr/local/bin/nvidia-cdi-hook"
# Paths of the node.
CONFIGURATION, MACHINE = "/etc/cluster", "/machine"
# Writes the specification of the machine's own GPUs.
GENERATE = (
    "nvidia-ctk",
    "cdi",
    "generate",
    f"--driver-root={MACHINE}",
    f"--nvidia-cdi-hook-path={HOOK}",
    f"--output={CONFIGURATION}/cdi/nvidia.yaml",
)
LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def write_stand_ins(folder: Path, driver: str, gpus: int) -> None:
    """Write devices, libraries and their specification to the node's configuration; needs root."""
    frontends = tuple((f"nvidia{number}", FRONTEND_MAJOR, number) for number in range(gpus))
    stand_in.devices(folder / "devices", (*CONTROL, *frontends))
    (folder / "libraries").mkdir()
    names = [f"{name}.so.{driver}" for name in ("libcuda", "libnvidia-ml")]
    for name in names:
        content = stand_in.elf_library(f"{name.partition('.so')[0]}.so.1")
        (folder / "libraries" / name).write_bytes(content)
        (folder / "libraries" / name).chmod(0o644)
    found = specification(
        f"{CONFIGURATION}/devices", [f"{CONFIGURATION}/libraries/{name}" for name in names], gpus
    )
    (folder / "cdi").mkdir()
    (folder / "cdi" / "nvidia.json").write_text(json.dumps(found, indent=1) + "\n")


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
