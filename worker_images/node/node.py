"""Reads a GPU node: the kernel driver's version, device nodes, and the driver's user-mode files."""

import os
import platform
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.model.drivers import kernel
from worker_images.model.drivers.kernel import VERSION, version_of
from worker_images.node import cards
from worker_images.node.cards import Card
from worker_images.node.driver import capabilities, lists
from worker_images.node.driver import files as driver_files
from worker_images.node.driver.files import Driver

GPU = re.compile(r"nvidia([0-9]+)$")
# The device nodes that nvproxy serves, besides those of the GPUs; it hides all others
# (runsc/specutils, pkg/sentry/devices/nvproxy).
CONTROL, MEMORY = "nvidiactl", "nvidia-uvm"
FRONTEND_MAJOR, CONTROL_MINOR = 195, 255
# Libraries of the capabilities compute and utility.
LIBRARIES = lists.libraries(capabilities.DEFAULT)


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

    Without a driver `driver` is empty. `source` names the source of the driver's files: libraries
    and programs of all capabilities, and `configuration`, pairs of a file and its path in
    containers. `cards` are the GPUs that the driver lists; `kind` is that of kernel.Machine.
    Without files of the driver, `others` are those of libcuda of other versions.
    """

    driver: str
    devices: tuple[Device, ...]
    libraries: tuple[Path, ...]
    programs: tuple[Path, ...]
    source: str
    configuration: tuple[tuple[Path, str], ...] = ()
    cards: tuple[Card, ...] = ()
    kind: str = ""
    others: tuple[Path, ...] = ()

    @property
    def native_environment(self) -> list[str]:
        """Variables with which a program on the node finds the driver's files."""
        libraries, programs = folders(self.libraries), folders(self.programs)
        return [f"LD_LIBRARY_PATH={libraries}", f"PATH={programs}:{os.environ['PATH']}"]

    @property
    def machine(self) -> str:
        """The GPUs by their models and the driver, in one line; empty without a driver."""
        if not self.driver:
            return ""
        models = Counter(card.model for card in self.cards)
        counts = [f"{count} {model}" for model, count in sorted(models.items())]
        return ", ".join([*counts, f"driver {self.driver}"])

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The devices /dev/nvidiaN, ordered by number."""
        return tuple(device for device in self.devices if GPU.match(device.name))


def folders(files: Iterable[Path]) -> str:
    """Return the folders of files, as a list for PATH or LD_LIBRARY_PATH."""
    return ":".join(sorted({str(file.parent) for file in files}))


def read(root: Path = Path("/"), driver_root: Path | None = None) -> Node:
    """Read this machine, or the tree of another one.

    With `driver_root` the driver's files are those below it, such as a node's root in a worker.
    """
    machine = kernel.read(root) or kernel.Machine("", "", kind=_kind_without_module(root))
    searched = Driver(machine.driver, _name(machine.architecture), driver_root or root)
    files = driver_files.find(searched)
    is_missing = machine.driver and not files.libraries
    return Node(
        machine.driver,
        tuple(devices(root / "dev")),
        files.libraries,
        files.programs,
        files.source,
        files.configuration,
        cards.read(root),
        machine.kind,
        driver_files.other_versions(searched) if is_missing else (),
    )


def _name(architecture: str) -> str:
    """Return x86_64 or aarch64; the architecture of this machine if it is not known."""
    names = {arch: name for name, arch in kernel.ARCHITECTURES.items()}
    return names.get(architecture, platform.machine())


def _kind_without_module(root: Path) -> str:
    """WSL if this is a machine of WSL2; empty otherwise."""
    kind = kernel.without_module("", "", "", root).kind
    return kind if kind == kernel.WSL else ""


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
