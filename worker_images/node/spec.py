"""The OCI specification of a user's GPU container on the spec path.

It contains devices, driver files and environment, and no hook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from worker_images.model import capabilities
from worker_images.node import selection
from worker_images.node.driver import lists
from worker_images.node.driver.capabilities import DEFAULT
from worker_images.node.limits import Limits
from worker_images.node.node import CONTROL, MEMORY, Device, Node
from worker_images.node.selection import ALL, NONE, Gpu, SpecError

# Paths in the container, the same as those of GKE's device plugin.
DRIVER = "/usr/local/nvidia"
LIBRARIES, PROGRAMS = f"{DRIVER}/lib64", f"{DRIVER}/bin"
# The program that takes a process's memory off its GPUs.
CHECKPOINT = "/usr/local/bin/gpu-checkpoint"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Container:
    """A user's container: root, command, environment, more mounts (source, destination), and GPUs.

    `rootfs` is the path of the unpacked root as runsc sees it; sources of mounts are paths of the
    node. `gpus` is what selection.selected takes. `network` is none, host, or the path of a network
    namespace. `capabilities` are NVIDIA's names for parts of the driver. `checkpoint` is the path
    of gpu-checkpoint as runsc sees it, for containers that will be saved. A `read_only` root has no
    overlay, so that runsc finds files faster.
    """

    rootfs: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[tuple[Path, str], ...] = ()
    gpus: str = ALL
    network: str = "none"
    limits: Limits = field(default_factory=Limits)
    capabilities: tuple[str, ...] = DEFAULT
    checkpoint: Path | None = None
    read_only: bool = False


def select(node: Node, gpus: str) -> tuple[Gpu, ...]:
    """Return some GPUs, as selection.selected takes them, on a node that can serve them.

    Raises SpecError for a device that the node does not have.
    """
    if gpus == NONE:
        return ()
    names = {device.name for device in node.devices}
    if missing := {CONTROL, MEMORY} - names:
        raise SpecError(
            f"no /dev/{', /dev/'.join(sorted(missing))} on this node; load the driver's modules:"
            " nvidia-modprobe -u -c 0"
        )
    if not (chosen := selection.selected(node, gpus)):
        raise SpecError(
            "no GPU on this node: /dev has no nvidia0; give the worker a GPU, or use --gpus none"
        )
    return chosen


def devices_of(node: Node, gpus: Sequence[Gpu]) -> list[Device]:
    """Return the device nodes that GPUs need, in the node's order; none without a GPU."""
    names = {gpu.device.name for gpu in gpus} | {CONTROL, MEMORY}
    return [device for device in node.devices if gpus and device.name in names]


def with_capabilities(node: Node, capabilities: Sequence[str]) -> Node:
    """Return the node with only those of the driver's files that some capabilities need."""
    libraries = tuple(path for path in node.libraries if lists.class_of(path.name) in capabilities)
    configuration = node.configuration if "graphics" in capabilities else ()
    return replace(node, libraries=libraries, configuration=configuration)


def specification(node: Node, container: Container, bundle: Path, host: str = "") -> dict[str, Any]:
    """Return the config.json of a bundle.

    `host` is the path of the node's root as runsc sees it: /host in a worker with that mount.
    Raises SpecError.
    """
    gpus = select(node, container.gpus)
    devices = devices_of(node, gpus)
    node = with_capabilities(node, container.capabilities)
    rootfs = _checked_root(node, container.rootfs, host)
    return {
        "ociVersion": "1.1.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(container.command),
            "env": [
                f"{name}={value}" for name, value in environment(node, container, gpus).items()
            ],
            "cwd": "/",
            "capabilities": {
                kind: [f"CAP_{name}" for name in capabilities.DOCKER]
                for kind in ("bounding", "effective", "permitted")
            },
            "noNewPrivileges": True,
            "rlimits": container.limits.rlimits,
        },
        "root": {"path": rootfs, "readonly": container.read_only},
        "hostname": "sandbox",
        "mounts": _mounts(node, container, bundle, host),
        "linux": {
            "namespaces": _namespaces(container.network),
            "devices": [_device(device) for device in devices],
            "resources": container.limits.resources,
        },
    }


def _namespaces(network: str) -> list[dict[str, str]]:
    """Return the container's namespaces; with the network `host` it has none of its own."""
    own = [{"type": name} for name in ("pid", "mount", "ipc", "uts")]
    if network == "host":
        return own
    path = {} if network == "none" else {"path": network}
    return [*own, {"type": "network", **path}]


def _checked_root(node: Node, rootfs: Path, host: str) -> str:
    """Return the container's root as runsc sees it.

    Raises SpecError if a mount in it would hide the files to mount.
    """
    root = str(rootfs)
    hidden = [
        path
        for path in node.libraries
        if f"{host}{path}".startswith(f"{root.rstrip('/')}{DRIVER}/")
    ]
    if root == "/" or hidden:
        raise SpecError(
            f"rootfs {root} is the node's own root, where a mount would hide the driver's files;"
            " bind it elsewhere first: mount --bind / /run/rootfs"
        )
    return root


SYSTEM = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    {
        "destination": "/dev/shm",  # noqa: S108 - a path in the container
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["mode=1777"],
    },
    {
        "destination": "/sys",
        "type": "sysfs",
        "source": "sysfs",
        "options": ["nosuid", "noexec", "nodev", "ro"],
    },
    {
        "destination": "/tmp",  # noqa: S108 - a path in the container
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["mode=1777"],
    },
)


def environment(node: Node, container: Container, gpus: Sequence[Gpu]) -> dict[str, str]:
    """Return the container's environment, with the driver's folders first and the GPUs' names."""
    base = {"PATH": PATH, **container.environment}
    if not node.libraries:
        return base
    return base | {
        "PATH": f"{PROGRAMS}:{base['PATH']}",
        "LD_LIBRARY_PATH": ":".join(filter(None, (LIBRARIES, base.get("LD_LIBRARY_PATH", "")))),
        "NVIDIA_VISIBLE_DEVICES": ",".join(gpu.name for gpu in gpus) or "none",
        "NVIDIA_DRIVER_CAPABILITIES": ",".join(container.capabilities),
    }


def _mounts(node: Node, container: Container, bundle: Path, host: str) -> list[dict[str, Any]]:
    """Return all mounts; those of the container come last."""
    return [
        *SYSTEM,
        *_driver_mounts(node, bundle, host),
        *([_bind(str(container.checkpoint), CHECKPOINT)] if container.checkpoint else []),
        *(_bind(f"{host}{source}", destination) for source, destination in container.mounts),
    ]


def _driver_mounts(node: Node, bundle: Path, host: str) -> list[dict[str, Any]]:
    """Return the mount of the bundle's mount points and links, then one for each driver file."""
    if not node.libraries:
        return []
    files = [(path, LIBRARIES) for path in node.libraries] + [
        (path, PROGRAMS) for path in node.programs
    ]
    return [
        _bind(f"{host}{bundle}/driver", DRIVER),
        *(_bind(f"{host}{path}", f"{folder}/{path.name}") for path, folder in files),
        *(_bind(f"{host}{path}", destination) for path, destination in node.configuration),
    ]


def _bind(source: str, destination: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": "bind",
        "source": source,
        # A rootless runsc cannot bind a folder without the mounts in it.
        "options": ["rbind", "ro", "nosuid", "nodev"],
    }


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": "c",
        "major": device.major,
        "minor": device.minor,
        "fileMode": 0o666,
        "uid": 0,
        "gid": 0,
    }
