"""What the machine must be before any work begins."""

import os
import platform
import shutil
from dataclasses import dataclass
from typing import Self

from worker_images.errors import EngineError
from worker_images.model.pins import Source


@dataclass(frozen=True)
class Machine:
    """The facts that decide what can be done here."""

    architecture: str
    debian: bool
    root: bool

    @classmethod
    def here(cls) -> Self:
        """Look at this machine."""
        return cls(
            platform.machine(), all(map(shutil.which, ("apt-get", "dpkg-deb"))), os.geteuid() == 0
        )


def check(machine: Machine, source: Source, variant: str) -> None:
    """Refuse what can never work here; raises EngineError with the exact alternative."""
    build = f"./build.py --variant {variant}"
    if machine.architecture not in {"x86_64", "amd64"}:
        raise EngineError(
            f"this machine is {machine.architecture}, images are built for amd64; on an amd64"
            f" machine run: {build}"
        )
    if source == "packages" and not machine.debian:
        fix = f"with Docker on any other run: {build} --source upstream"
        raise EngineError(
            f"--source packages needs apt-get and dpkg-deb, so a Debian-family machine; {fix}"
        )


def check_engine_can_start(machine: Machine) -> None:
    """Refuse where no engine answers and none can be started.

    Raises EngineError with the exact alternative.
    """
    if not machine.root:
        fix = "run the same command with sudo, or set DOCKER_HOST to an engine of yours"
        raise EngineError(f"no container engine answers, and starting one needs root; {fix}")
    if not machine.debian:
        fix = "install Docker 26 or later and add: --source upstream"
        raise EngineError(
            f"no container engine answers, and starting one needs a Debian-family machine; {fix}"
        )
