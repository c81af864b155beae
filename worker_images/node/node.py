"""Reads a GPU node: the kernel driver's version, device nodes, and the driver's user-mode files."""

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
# The device nodes that nvproxy serves, besides those of the GPUs; it hides all others
# (runsc/specutils, pkg/sentry/devices/nvproxy).
CONTROL, MEMORY = "nvidiactl", "nvidia-uvm"
FRONTEND_MAJOR, CONTROL_MINOR = 195, 255
# Folders of the driver that are not in the loader's cache: those of clouds' device plugins and of
# the GPU operator.
DRIVER_FOLDERS = (
    "usr/local/nvidia/lib64",
    "home/kubernetes/bin/nvidia/lib64",
    "run/nvidia/driver/usr/lib/x86_64-linux-gnu",
)
# Libraries of the capabilities compute and utility, from libnvidia-container's src/nvc_info.c.
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
    """A character device of the driver, with its path and the kernel's numbers."""

    path: str
    major: int
    minor: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Node:
    """A GPU node.

    Without a driver `driver` is empty. `source` names the source of the driver's files.
    """

    driver: str
    devices: tuple[Device, ...]
    libraries: tuple[Path, ...]
    programs: tuple[Path, ...]
    source: str

    @property
    def native_environment(self) -> list[str]:
        """Variables with which a program on the node finds the driver's files."""
        libraries, programs = (
            ":".join(sorted({str(path.parent) for path in paths}))
            for paths in (self.libraries, self.programs)
        )
        return [f"LD_LIBRARY_PATH={libraries}", f"PATH={programs}:{os.environ['PATH']}"]

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The devices /dev/nvidiaN, ordered by number."""
        return tuple(device for device in self.devices if GPU.match(device.name))


def read(root: Path = Path("/")) -> Node:
    """Read this machine, or the tree of another one."""
    version = driver(root)
    source, libraries, programs = _driver_files(root, version)
    return Node(version, tuple(devices(root / "dev")), libraries, programs, source)


def driver(root: Path = Path("/")) -> str:
    """Return the version of the kernel's NVIDIA driver, open or proprietary; empty without one."""
    return version_of(root / VERSION[1:])


def devices(folder: Path) -> Iterator[Device]:
    """Yield the devices of a folder such as /dev that nvproxy serves, GPUs ordered by number."""
    names = [
        CONTROL,
        MEMORY,
        *sorted(
            (path.name for path in folder.glob("nvidia[0-9]*") if GPU.match(path.name)), key=_number
        ),
    ]
    for path in (folder / name for name in names):
        if path.exists() and stat.S_ISCHR((status := path.stat()).st_mode):
            yield Device(f"/dev/{path.name}", os.major(status.st_rdev), os.minor(status.st_rdev))


def _number(name: str) -> int:
    return int(name.removeprefix("nvidia"))


def _driver_files(root: Path, version: str) -> tuple[str, tuple[Path, ...], tuple[Path, ...]]:
    """Return the first source that has libcuda of this version, with its libraries and programs."""
    if version:
        for source, paths in _sources(root):
            files = tuple(sorted({path.resolve() for path in paths if path.exists()}))
            libraries = tuple(
                path
                for path in files
                if path.name.endswith(f".so.{version}") and path.name.split(".so.")[0] in LIBRARIES
            )
            if any(path.name == f"libcuda.so.{version}" for path in libraries):
                return source, libraries, _programs(root, libraries, files)
    return "", (), ()


def _sources(root: Path) -> Iterator[tuple[str, Iterable[Path]]]:
    if root == Path("/"):
        yield "the loader's cache", _from_cache()
    for folder in DRIVER_FOLDERS:
        yield f"/{folder}", (root / folder).glob("lib*.so.*")
    if root == Path("/"):
        yield "nvidia-ctk cdi generate", _from_cdi()


def _from_cache() -> Iterator[Path]:
    """Yield the driver libraries in the loader's cache."""
    for line in _output_of("ldconfig", "-p").splitlines():
        name, _, path = line.strip().partition(" (")
        if name.split(".so")[0] in LIBRARIES and "x86-64" in path + "x86-64" * (
            os.uname().machine != "x86_64"
        ):
            yield Path(path.partition("=> ")[2])


def _from_cdi() -> Iterator[Path]:
    """Yield the files that the node's toolkit would mount."""
    text = _output_of("nvidia-ctk", "--quiet", "cdi", "generate", "--format=json")
    for mount in json.loads(text or "{}").get("containerEdits", {}).get("mounts", []):
        yield Path(mount["hostPath"])


def _output_of(*command: str) -> str:
    """Return the standard output of a program; empty if it is missing or fails."""
    # ldconfig is not on every user's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _programs(root: Path, libraries: tuple[Path, ...], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the driver's programs: in bin beside its libraries, or in /usr/bin."""
    beside = {path.parent.parent / "bin" for path in libraries}
    folders = [path.parent for path in files if path.name in PROGRAMS] + [*beside, root / "usr/bin"]
    found = {
        name: next((folder / name for folder in folders if (folder / name).is_file()), None)
        for name in PROGRAMS
    }
    return tuple(path for path in found.values() if path)
