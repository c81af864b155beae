"""The network interface between this machine and the node."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import EngineError

INTERFACES = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
LINKS = 10


@dataclass(frozen=True)
class Link:
    """The interface that connects the machine with the node, and the two addresses."""

    name: str
    machine: str
    node: str

    @property
    def line(self) -> str:
        """The content of the file that scripts/cluster/node reads."""
        return f"{self.name} {self.machine}/30 {self.node}\n"


@contextlib.contextmanager
def unused() -> Iterator[Link]:
    """A name and addresses that this machine does not use; the block creates the interface.

    Other starts wait meanwhile: they would take the same name. Raises EngineError.
    """
    folder = os.open(INTERFACES, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield _first(
            {path.name for path in INTERFACES.iterdir()},
            ROUTES.read_text().splitlines()[1:],
        )
    finally:
        os.close(folder)


def _first(interfaces: set[str], routes: list[str]) -> Link:
    """Return the first link whose name and network are not used; raises EngineError."""
    used = {bytes.fromhex(line.split()[1])[::-1][:3] for line in routes}
    for number in range(LINKS):
        name = f"wimk{number}"
        if name not in interfaces and bytes((10, 214, number)) not in used:
            return Link(name, f"10.214.{number}.1", f"10.214.{number}.2")
    raise EngineError("no free network in 10.214.0.0/16; delete an interface: ip link delete wimk0")
