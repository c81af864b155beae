"""The compilers of components, as inputs of a build."""

from dataclasses import dataclass
from pathlib import Path

from worker_images.fetch import gomod
from worker_images.files import text_digest
from worker_images.model import lock

# Their owners; every stage that compiles needs one.
GO, ZIG = "go", "zig"
# Modules that write tars lie here.
WRITERS = Path(__file__).parent


@dataclass(frozen=True)
class Toolchain:
    """The Go toolchain, as a tar."""

    file: gomod.File
    owner: str = GO
    name: str = "Go toolchain"
    place: str = "go.tar"

    @property
    def digest(self) -> str:
        """SHA-256 of its checksum and of the code that writes the tar."""
        return text_digest(self.file.sum + source_of("gotoolchain.py"))


@dataclass(frozen=True)
class Zig:
    """The C compiler of programs of our own, as a tar."""

    wheel: lock.Wheel
    owner: str = ZIG
    name: str = "Zig"
    place: str = "zig.tar"

    @property
    def digest(self) -> str:
        """SHA-256 of the wheel's digest and of the code that writes the tar."""
        return text_digest(self.wheel.sha256 + source_of("zigtoolchain.py"))


def source_of(module: str) -> str:
    """The source of a module that writes tars, which decides their bytes."""
    return (WRITERS / module).read_text()
