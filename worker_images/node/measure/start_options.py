"""What may make a program start faster in a sandbox: runsc's flags, variables, mounts, settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker_images.node import huge_pages
from worker_images.node.huge_pages import SETTINGS

EXCLUSIVE, MANY_DENTRIES = "--file-access-mounts=exclusive", "--dcache=8000"
# glibc's malloc asks for huge pages, extends the heap in steps of 64 MiB, and returns memory, or
# maps it separately, only from 256 MiB on.
TUNABLES = {
    "hugetlb": 1,
    "top_pad": 64 << 20,
    "trim_threshold": 256 << 20,
    "mmap_threshold": 256 << 20,
}
MALLOC = {
    "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in TUNABLES.items())
}
# Python finds no compiled modules, as in an image that was built without them.
NO_BYTECODE = {"PYTHONPYCACHEPREFIX": "/nowhere"}


@dataclass(frozen=True)
class Option:
    """One way to start a sandbox.

    `mounts` are read-only mounts of the folders of Python's modules. With `read_only` the root is
    read-only, and has no overlay. `settings` are those of the machine, by file, while the sandbox
    runs. With `processors` it has only so many; 0 is all.
    """

    name: str
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: bool = False
    read_only: bool = False
    settings: Mapping[Path, str] = field(default_factory=dict)
    processors: int = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Change the settings of the machine and of this process, and restore them.

        Raises PlaceError.
        """
        with huge_pages.applied(self.settings), _limited(self.processors):
            yield

    def __add__(self, other: "Option") -> "Option":
        """Return both options as one."""
        return Option(
            f"{self.name}+{other.name}",
            (*self.flags, *other.flags),
            {**self.environment, **other.environment},
            self.mounts or other.mounts,
            self.read_only or other.read_only,
            {**self.settings, **other.settings},
            self.processors or other.processors,
        )


@contextmanager
def _limited(processors: int) -> Iterator[None]:
    """Limit the commands that this process starts to its first processors; 0 is all of them."""
    if not processors:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, sorted(before)[:processors])
        yield
    finally:
        os.sched_setaffinity(0, before)


DEFAULT = Option("sandbox")
OPTIONS = {
    option.name: option
    for option in (
        Option("malloc", environment=MALLOC),
        Option("huge-pages", settings=SETTINGS),
        Option("read-only", read_only=True),
        Option("mounts", (EXCLUSIVE,), mounts=True),
        Option("dcache", (MANY_DENTRIES,)),
        Option("exclusive", (EXCLUSIVE,)),
        Option("processors", processors=4),
        Option("no-bytecode", environment=NO_BYTECODE),
        Option("no-directfs", ("--directfs=false",)),
        Option("ptrace", ("--platform=ptrace",)),
    )
}


def named(words: str) -> Option:
    """Return the option of a name, or several joined by +; raises KeyError."""
    first, *others = (OPTIONS[word] for word in words.split("+"))
    return sum(others, first)


OPTIONS["all"] = replace(named("read-only+dcache+malloc+huge-pages"), name="all")
