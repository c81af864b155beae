"""The OCI specification of a user's GPU container by the spec path: devices, driver files and
environment, no hook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.errors import EngineError
from worker_images.node.node import CONTROL, MEMORY, Device, Node

# In the container, as GKE's device plugin lays them out.
DRIVER = "/usr/local/nvidia"
LIBRARIES, PROGRAMS = f"{DRIVER}/lib64", f"{DRIVER}/bin"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As Docker gives to a container that asks for nothing.
CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)


class SpecError(EngineError):
    """The node cannot give what the container asks for."""


@dataclass(frozen=True)
class Container:
    """What the user's image and its caller say: command, environment, more mounts (source,
    destination).

    `rootfs` is the unpacked root as runsc sees it; sources of mounts are paths of the node.
    """

    rootfs: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[tuple[Path, str], ...] = ()
    gpus: str = "all"


def chosen(node: Node, gpus: str) -> tuple[Device, ...]:
    """The device nodes for some GPUs: all, none, or numbers such as 0,2.

    Raises SpecError for one that is not there.
    """
    if gpus == "none":
        return ()
    wanted = (
        {f"nvidia{number.strip()}" for number in gpus.split(",")}
        if gpus != "all"
        else {device.name for device in node.gpus}
    )
    if missing := (wanted | {CONTROL, MEMORY}) - {device.name for device in node.devices}:
        raise SpecError(
            f"no /dev/{', /dev/'.join(sorted(missing))} on this node; load the driver's modules:"
            " nvidia-modprobe -u -c 0"
        )
    if gpus == "all" and not node.gpus:
        raise SpecError(
            "no GPU on this node: /dev holds no nvidia0; give the worker one, or ask for none"
        )
    return tuple(device for device in node.devices if device.name in wanted | {CONTROL, MEMORY})


def specification(node: Node, container: Container, bundle: Path, host: str = "") -> dict[str, Any]:
    """config.json of a bundle.

    `host` is where the node's root lies for runsc, as in a worker that has it mounted at /host.

    Raises SpecError.
    """
    devices = chosen(node, container.gpus)
    rootfs = _mountable(node, container.rootfs, host)
    return {
        "ociVersion": "1.1.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(container.command),
            "env": [
                f"{name}={value}" for name, value in environment(node, container, devices).items()
            ],
            "cwd": "/",
            "capabilities": {
                kind: [f"CAP_{name}" for name in CAPABILITIES]
                for kind in ("bounding", "effective", "permitted")
            },
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs, "readonly": False},
        "hostname": "sandbox",
        "mounts": [
            *SYSTEM,
            *_driver_mounts(node, bundle, host),
            *(_bind(f"{host}{source}", to) for source, to in container.mounts),
        ],
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts")],
            "devices": [_device(device) for device in devices],
        },
    }


def _mountable(node: Node, rootfs: Path, host: str) -> str:
    """The container's root as runsc sees it.

    Raises SpecError for one in which a mount would hide what is mounted.
    """
    seen = str(rootfs)
    hidden = [
        path
        for path in node.libraries
        if f"{host}{path}".startswith(f"{seen.rstrip('/')}{DRIVER}/")
    ]
    if seen == "/" or hidden:
        raise SpecError(
            f"rootfs {seen} is the node's own root, where mounts hide each other; bind it first:"
            " mount --bind / /run/rootfs"
        )
    return seen


SYSTEM = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    {
        "destination": "/dev/shm",  # noqa: S108 - the container's own
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
        "destination": "/tmp",  # noqa: S108 - the container's own
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["mode=1777"],
    },
)


def environment(node: Node, container: Container, devices: Sequence[Device]) -> dict[str, str]:
    """The container's environment, with the driver's folders before its own and the GPUs by
    number.
    """
    own = {"PATH": PATH, **container.environment}
    if not node.libraries:
        return own
    numbers = [device.name.removeprefix("nvidia") for device in devices if device in node.gpus]
    return own | {
        "PATH": f"{PROGRAMS}:{own['PATH']}",
        "LD_LIBRARY_PATH": ":".join(filter(None, (LIBRARIES, own.get("LD_LIBRARY_PATH", "")))),
        "NVIDIA_VISIBLE_DEVICES": ",".join(numbers) or "none",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }


def _driver_mounts(node: Node, bundle: Path, host: str) -> list[dict[str, Any]]:
    """The bundle's folder of links and empty files, then each of the driver's files over its empty
    one.
    """
    if not node.libraries:
        return []
    files = [(path, LIBRARIES) for path in node.libraries] + [
        (path, PROGRAMS) for path in node.programs
    ]
    return [
        _bind(f"{host}{bundle}/driver", DRIVER),
        *(_bind(f"{host}{path}", f"{folder}/{path.name}") for path, folder in files),
    ]


def _bind(source: str, destination: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": "bind",
        "source": source,
        "options": ["bind", "ro", "nosuid", "nodev"],
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
