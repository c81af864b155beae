"""What a GPU node has for a sandbox: the kernel driver's version, device nodes, the driver's
user-mode files.
"""

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.model.drivers.kernel import VERSION, version_of

GPU = re.compile(r"nvidia([0-9]+)$")
# What nvproxy serves; it hides every other node of the driver (runsc/specutils,
# pkg/sentry/devices/nvproxy).
CONTROL, MEMORY = "nvidiactl", "nvidia-uvm"
FRONTEND_MAJOR, CONTROL_MINOR = 195, 255
# Where nodes keep the driver outside the loader's cache: device plugins of clouds, the GPU
# operator.
FOLDERS = (
    "usr/local/nvidia/lib64",
    "home/kubernetes/bin/nvidia/lib64",
    "run/nvidia/driver/usr/lib/x86_64-linux-gnu",
)
# Capabilities compute and utility, as libnvidia-container's src/nvc_info.c lists them.
LIBRARIES = (
    *(
        "libcuda",
        "libcudadebugger",
        "libnvidia-ptxjitcompiler",
        "libnvidia-nvvm",
        "libnvidia-nvvm70",
        "libnvidia-gpucomp",
    ),
    *(
        "libnvidia-opencl",
        "libnvidia-allocator",
        "libnvidia-pkcs11",
        "libnvidia-pkcs11-openssl3",
        "libnvidia-ml",
        "libnvidia-cfg",
    ),
)
PROGRAMS = ("nvidia-smi", "nvidia-debugdump")


@dataclass(frozen=True)
class Device:
    """A character device of the driver: its path, and its numbers in the kernel."""

    path: str
    major: int
    minor: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Node:
    """A node as a launcher sees it.

    Without a driver the version is empty. `found` says where the driver's files were.
    """

    driver: str
    devices: tuple[Device, ...]
    libraries: tuple[Path, ...]
    programs: tuple[Path, ...]
    found: str

    @property
    def native(self) -> list[str]:
        """Variables by which a program on the node itself finds the driver's files."""
        libraries, programs = (
            ":".join(sorted({str(path.parent) for path in paths}))
            for paths in (self.libraries, self.programs)
        )
        return [f"LD_LIBRARY_PATH={libraries}", f"PATH={programs}:{os.environ['PATH']}"]

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The nodes /dev/nvidiaN, by number."""
        return tuple(device for device in self.devices if GPU.match(device.name))


def read(root: Path = Path("/")) -> Node:
    """Look at the machine, or at a tree of one."""
    version = driver(root)
    found, libraries, programs = _files(root, version)
    return Node(version, tuple(devices(root / "dev")), libraries, programs, found)


def driver(root: Path = Path("/")) -> str:
    """The version of the kernel's NVIDIA driver, open or not; empty without one."""
    return version_of(root / VERSION[1:])


def devices(folder: Path) -> Iterator[Device]:
    """The nodes that nvproxy serves, in a folder such as /dev, the GPUs by number."""
    names = [
        CONTROL,
        MEMORY,
        *sorted(
            (path.name for path in folder.glob("nvidia[0-9]*") if GPU.match(path.name)), key=_number
        ),
    ]
    for path in (folder / name for name in names):
        if path.exists() and stat.S_ISCHR((found := path.stat()).st_mode):
            yield Device(f"/dev/{path.name}", os.major(found.st_rdev), os.minor(found.st_rdev))


def _number(name: str) -> int:
    return int(name.removeprefix("nvidia"))


def _files(root: Path, version: str) -> tuple[str, tuple[Path, ...], tuple[Path, ...]]:
    """Where libcuda of this very version is, and what lies there with it."""
    if version:
        for found, paths in _sources(root):
            files = tuple(sorted({path.resolve() for path in paths if path.exists()}))
            libraries = tuple(
                path
                for path in files
                if path.name.endswith(f".so.{version}") and path.name.split(".so.")[0] in LIBRARIES
            )
            if any(path.name == f"libcuda.so.{version}" for path in libraries):
                return found, libraries, _programs(root, libraries, files)
    return "", (), ()


def _sources(root: Path) -> Iterator[tuple[str, Iterable[Path]]]:
    if root == Path("/"):
        yield "the loader's cache", _cached()
    for folder in FOLDERS:
        yield f"/{folder}", (root / folder).glob("lib*.so.*")
    if root == Path("/"):
        yield "nvidia-ctk cdi generate", _from_cdi()


def _cached() -> Iterator[Path]:
    """Every driver library that the loader's cache names."""
    for line in _said("ldconfig", "-p").splitlines():
        name, _, path = line.strip().partition(" (")
        if name.split(".so")[0] in LIBRARIES and "x86-64" in path + "x86-64" * (
            os.uname().machine != "x86_64"
        ):
            yield Path(path.partition("=> ")[2])


def _from_cdi() -> Iterator[Path]:
    """What the toolkit of the node would mount."""
    text = _said("nvidia-ctk", "--quiet", "cdi", "generate", "--format=json")
    for mount in json.loads(text or "{}").get("containerEdits", {}).get("mounts", []):
        yield Path(mount["hostPath"])


def _said(*command: str) -> str:
    """Standard output of a program.

    Empty where it is missing or fails. ldconfig is not on every user's path.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _programs(root: Path, libraries: tuple[Path, ...], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The driver's programs: beside its libraries' folder, or on the usual path."""
    beside = {path.parent.parent / "bin" for path in libraries}
    folders = [path.parent for path in files if path.name in PROGRAMS] + [*beside, root / "usr/bin"]
    found = {
        name: next((folder / name for folder in folders if (folder / name).is_file()), None)
        for name in PROGRAMS
    }
    return tuple(path for path in found.values() if path)
