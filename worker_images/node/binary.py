"""What is wrong with a file that should be runsc."""

import os
import platform
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from worker_images.model.drivers.table import order
from worker_images.node.place import PlaceError, answer

MACHINES = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}
# Published releases from here on have their helpers beside them; one that was built from source
# (-46-g879cb2d) holds them.
SIDECARS, SINCE = "gvisor-bin", "20260721.0"
RELEASE = re.compile(r"^runsc version release-(\d{8}\.\d+)$", re.MULTILINE)
SECONDS = 10.0


def faults(path: Path) -> Iterator[tuple[str, str]]:
    """Every fault of the file, and what to do.

    A file that is sound so far is asked for its version.
    """
    if not path.is_file():
        yield f"no file {path}", "take the image's own runsc"
        return
    with path.open("rb") as file:
        begin = file.read(20)
    program = begin[:4] == b"\x7fELF" and begin[18:20] == MACHINES.get(
        platform.machine(), begin[18:20]
    )
    if not program:
        yield (
            f"no program for {platform.machine()}: begins with {begin!r}",
            "compare its SHA with the pinned one; fetch it again",
        )
    if not path.stat().st_mode & stat.S_IXOTH:
        yield "not everybody may run it, and runsc runs itself as nobody", f"chmod 0755 {path}"
    elif program and needs_sidecars(_version(path)) and not _sidecars(path).is_dir():
        yield (
            f"no folder {_sidecars(path)}, which this release needs",
            "unpack the whole of the release's gvisor.tar.bz2",
        )


def needs_sidecars(version: str) -> bool:
    """Whether what runsc --version says is a published release that has its helpers beside it."""
    found = RELEASE.search(version)
    return found is not None and order(found[1]) >= order(SINCE)


def _version(path: Path) -> str:
    try:
        return answer([str(path.absolute()), "--version"], SECONDS).output
    except PlaceError:
        return ""


def _sidecars(path: Path) -> Path:
    return Path(os.environ.get("GVISOR_SIDECAR_BINARIES_DIR") or path.resolve().parent / SIDECARS)
