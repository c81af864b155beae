"""A GPU node and a bundle, laid out for specifications that launchers wrote."""

import json
import platform
from pathlib import Path
from typing import Any

from tests.support.nodes import files
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Device, Node
from worker_images.node.stand_in import DRIVER

NUMBERS = {"nvidiactl": (195, 255), "nvidia-uvm": (511, 0)}
NUMBERS |= {f"nvidia{number}": (195, number) for number in range(5)}
DEVICES = tuple(Device(f"/dev/{name}", *numbers) for name, numbers in NUMBERS.items())
MACHINE = platform.machine()
MULTIARCH = f"{MACHINE}-linux-gnu"
# The loader's path in the x86_64 and the aarch64 ABI.
LOADER = "lib64/ld-linux-x86-64.so.2" if MACHINE == "x86_64" else "lib/ld-linux-aarch64.so.1"
DEBIAN = (f"/lib/{MULTIARCH}/", f"/usr/lib/{MULTIARCH}/", "/lib/", "/usr/lib/")
RED_HAT, ARCH = ("/lib64/", "/usr/lib64/"), ("/usr/lib/",)


def strings(*folders: str) -> bytes:
    """Return a loader with its search folders, as glibc's contains them."""
    return b"\x7fELF\0/etc/ld.so.cache\0" + b"".join(f"{each}\0".encode() for each in folders)


def merged_usr(root: Path) -> Path:
    """Create a root in which /lib and /lib64 are links."""
    for name in ("lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    return root


def glibc(root: Path, folder: str, searched: tuple[str, ...]) -> Path:
    """Create a root with glibc: the loader is in a folder, and a link has its fixed path."""
    merged_usr(root)
    name = LOADER.rpartition("/")[2]
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(strings(*searched))
    if not (root / LOADER).exists():
        (root / LOADER).symlink_to(f"/{folder}/{name}")
    return root


def debian(root: Path) -> Path:
    return glibc(root, f"usr/lib/{MULTIARCH}", DEBIAN)


def red_hat(root: Path) -> Path:
    return glibc(root, "usr/lib64", RED_HAT)


def arch(root: Path) -> Path:
    return glibc(root, "usr/lib", ARCH)


def alpine(root: Path) -> Path:
    files(root / "lib", f"ld-musl-{MACHINE}.so.1")
    return root


def libcuda(folder: Path, version: str = DRIVER) -> Path:
    """Create a folder with libcuda and its link."""
    files(folder, f"libcuda.so.{version}")
    (folder / "libcuda.so.1").symlink_to(f"libcuda.so.{version}")
    return folder


def node(root: Path) -> Node:
    """Lay out the driver's files of a node, in the places that launchers take them from."""
    libcuda(root / "home/kubernetes/bin/nvidia/lib64")
    libcuda(root / "rhel/usr/lib64")
    libcuda(root / f"usr/lib/{MULTIARCH}")
    staged = root / "staged/driver/lib64"
    staged.mkdir(parents=True)
    (staged / f"libcuda.so.{DRIVER}").touch()
    (staged / "libcuda.so.1").symlink_to(f"libcuda.so.{DRIVER}")
    files(root / "home/kubernetes/bin/nvidia/vulkan/icd.d", "nvidia_icd.json")
    files(root / "usr/bin", "nvidia-smi", "nvidia-cdi-hook", "nvidia-ctk", "nvidia-container-cli")
    files(root / "kubelet", "hosts", "resolv.conf")
    library = root / f"usr/lib/{MULTIARCH}/libcuda.so.{DRIVER}"
    return Node(DRIVER, DEVICES, (library,), (), "a test")


def specification(text: str, root: Path, bundle: Path) -> dict[str, Any]:
    """Return a specification for a node and a bundle."""
    text = text.replace("@NODE@", str(root)).replace("@BUNDLE@", str(bundle))
    found: dict[str, Any] = json.loads(text.replace("x86_64-linux-gnu", MULTIARCH))
    return found


def request(
    node: Node, root: Path, destination: str, path: str | None = None, **more: object
) -> LaunchRequest:
    """A container with one GPU, and libcuda and its link at a destination."""
    source = node.libraries[0].parent
    devices = [
        {"path": each.path, "type": "c", "major": each.major, "minor": each.minor}
        for each in node.devices[:3]
    ]
    specification = {
        "process": {
            "args": ["true"],
            "cwd": "/",
            "env": [f"LD_LIBRARY_PATH={path}"] if path else [],
        },
        "root": {"path": str(root)},
        "mounts": [
            {
                "source": f"{source}/{name}",
                "destination": f"{destination}/{name}",
                "options": ["rbind", "ro"],
            }
            for name in (f"libcuda.so.{DRIVER}", "libcuda.so.1")
        ],
        "linux": {"devices": devices},
        **more,
    }
    return LaunchRequest(specification, node)


def answers(found: LaunchRequest) -> list[str]:
    """Return rule and severity of each finding."""
    return [f"{each.rule} {each.severity}" for each in findings(found)]
