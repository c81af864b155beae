"""Requirements of this machine, checked before any work begins."""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker_images.errors import EngineError
from worker_images.model.pins import Source

# The kernel's names of the architecture.
AMD64 = ("x86_64", "amd64")


@dataclass(frozen=True)
class Machine:
    """Properties of a machine that decide what can run on it."""

    architecture: str
    debian: bool
    root: bool

    @classmethod
    def here(cls) -> Self:
        """Return the properties of this machine."""
        return cls(
            platform.machine(), all(map(shutil.which, ("apt-get", "dpkg-deb"))), os.geteuid() == 0
        )


def capabilities() -> int:
    """Return this process's effective capabilities as bits, by the kernel's numbers."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


def check(machine: Machine, source: Source, variant: str) -> None:
    """Check that this machine can build; raises EngineError with the command to use instead."""
    build = f"./build.py --variant {variant}"
    if machine.architecture not in AMD64:
        raise EngineError(
            f"this machine is {machine.architecture}, but builds run on amd64; on an amd64"
            f" machine run: {build}"
        )
    if source == "packages" and not machine.debian:
        fix = f"on another machine with Docker, run: {build} --source upstream"
        raise EngineError(
            f"--source packages needs a Debian-family machine with apt-get and dpkg-deb; {fix}"
        )


def check_engine_can_start(machine: Machine) -> None:
    """Check that this machine can run the private engine.

    Raises EngineError with the command to use instead.
    """
    if not machine.root:
        fix = "run the same command with sudo, or set DOCKER_HOST to an engine that you can use"
        raise EngineError(f"no container engine answers, and starting one needs root; {fix}")
    if not machine.debian:
        fix = "install Docker 26 or later and add: --source upstream"
        raise EngineError(
            f"no container engine answers, and starting one needs a Debian-family machine; {fix}"
        )
