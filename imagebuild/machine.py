"""What the machine must be before any work begins."""

import os
import platform
import shutil
from dataclasses import dataclass
from typing import Self

from imagebuild.errors import EngineError
from imagebuild.pins import Supply


@dataclass(frozen=True)
class Machine:
    """The facts that decide what can be done here."""

    architecture: str
    debian: bool
    root: bool

    @classmethod
    def here(cls) -> Self:
        """Look at this machine."""
        debian = all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))
        return cls(platform.machine(), debian, os.geteuid() == 0)


def check(machine: Machine, supply: Supply, variant: str) -> None:
    """Refuse what can never work here; raises EngineError with the exact alternative."""
    if machine.architecture not in {"x86_64", "amd64"}:
        raise EngineError(
            f"this machine is {machine.architecture}, images are built for amd64; on an amd64 machine run: ./build.py --variant {variant}"
        )
    if supply == "packages" and not machine.debian:
        raise EngineError(
            "supply packages needs apt-get and dpkg-deb, so a Debian-family machine; "
            f"with Docker on any other run: ./build.py --variant {variant} --supply vendor"
        )


def check_engine_can_start(machine: Machine, variant: str) -> None:
    """Refuse where no engine answers and none can be started; raises EngineError with the exact alternative."""
    if not machine.root:
        raise EngineError(
            "no container engine answers, and starting one needs root; "
            f"run: sudo ./build.py --variant {variant}, or set DOCKER_HOST to an engine of yours"
        )
    if not machine.debian:
        raise EngineError(
            "no container engine answers, and starting one needs a Debian-family machine; "
            f"install Docker 26 or later and run: ./build.py --variant {variant} --supply vendor"
        )
