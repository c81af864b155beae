"""Requirements of the private Kubernetes cluster, checked by doctor and before it starts."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker_images.build import machine
from worker_images.build.machine import AMD64, Machine
from worker_images.engine.endpoint import free_space
from worker_images.errors import EngineError
from worker_images.files import CACHE

# Of the packages below, which every Debian has.
PROGRAMS = ("chroot", "find", "flock", "nsenter", "setsid", "unshare")
PACKAGES = ("coreutils", "findutils", "util-linux")
CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN", 27: "CAP_MKNOD"}
CGROUPS = Path("/sys/fs/cgroup")
# While Kubernetes compiles: its modules, the compiler's cache, and the linker.
NEEDED_DISK, NEEDED_MEMORY = 6 * 10**9, 3 * 10**9
PRIVILEGED = "in a container, start it with --privileged"


@dataclass(frozen=True)
class Facts:
    """What decides whether a cluster can run here. Sizes are in bytes."""

    machine: Machine
    capabilities: int
    missing: tuple[str, ...]
    disk: int
    memory: int
    cgroups: bool

    @classmethod
    def here(cls) -> Self:
        """Return the facts of this machine."""
        total = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
        return cls(
            Machine.here(),
            machine.capabilities(),
            tuple(name for name in PROGRAMS if not shutil.which(name)),
            free_space(CACHE),
            int(total[1]) * 1024 if total else 0,
            any(os.access(path, os.W_OK) for path in (CGROUPS / "memory", CGROUPS)),
        )


def faults(facts: Facts, *, compiled: bool = False, unpacked: bool = False) -> list[str]:
    """Return what the machine lacks, each with its fix after a semicolon.

    Only the first start unpacks Debian packages and compiles Kubernetes, which needs disk and
    memory.
    """
    found = []
    if facts.machine.architecture not in AMD64:
        found.append(f"this machine is {facts.machine.architecture}; use an amd64 machine")
    if not facts.machine.debian and not unpacked:
        found.append("no apt-get and dpkg-deb; use a machine of the Debian family")
    if not facts.machine.root:
        found.append("starting a node needs root; run: sudo ./build.py cluster start")
    lost = [name for bit, name in CAPABILITIES.items() if not facts.capabilities >> bit & 1]
    if facts.machine.root and lost:
        found.append(f"root without {' and '.join(lost)}; {PRIVILEGED}")
    if facts.missing:
        found.append(
            f"missing: {', '.join(facts.missing)}; run: apt-get install {' '.join(PACKAGES)}"
        )
    if facts.disk < NEEDED_DISK and not compiled:
        free = f"{CACHE} has {facts.disk / 1e9:.0f} GB free of {NEEDED_DISK / 1e9:.0f} GB"
        found.append(f"{free}; free some space, or set XDG_CACHE_HOME to another disk")
    if facts.memory < NEEDED_MEMORY and not compiled:
        size = f"{facts.memory / 1e9:.1f} GB of memory"
        found.append(f"{size}; compiling Kubernetes needs {NEEDED_MEMORY / 1e9:.0f} GB")
    if not facts.cgroups:
        found.append(f"{CGROUPS} is read-only; {PRIVILEGED}")
    return found


def check(*, compiled: bool, unpacked: bool) -> None:
    """Check that a cluster can start here; raises EngineError with all faults."""
    if found := faults(Facts.here(), compiled=compiled, unpacked=unpacked):
        raise EngineError("\n".join(f"cluster: {fault}" for fault in found))
