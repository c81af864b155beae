"""Checks of a file that should be runsc."""

import os
import platform
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from worker_images.model.drivers.table import order
from worker_images.node.place import PlaceError, run_command

MACHINES = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}
# Published releases from this one on have their helper programs in a folder beside them. A runsc
# that was built from source (-46-g879cb2d) contains them.
SIDECARS, SIDECARS_SINCE = "gvisor-bin", "20260721.0"
RELEASE = re.compile(r"^runsc version release-(\d{8}\.\d+)$", re.MULTILINE)
TIMEOUT_SECONDS = 10.0


def problems(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each problem of the file, with the next step.

    Run the file for its version if it is an executable for this machine.
    """
    if not path.is_file():
        yield f"no file {path}", "use the image's own runsc"
        return
    with path.open("rb") as file:
        header = file.read(20)
    is_program = header[:4] == b"\x7fELF" and header[18:20] == MACHINES.get(
        platform.machine(), header[18:20]
    )
    if not is_program:
        yield (
            f"not an executable for {platform.machine()}: begins with {header!r}",
            "compare its SHA with the pinned one; fetch it again",
        )
    if not path.stat().st_mode & stat.S_IXOTH:
        yield (
            "not executable by others: runsc re-executes itself as user nobody",
            f"chmod 0755 {path}",
        )
    elif is_program and needs_sidecars(_version(path)) and not _sidecars(path).is_dir():
        yield (
            f"no folder {_sidecars(path)}, which this release needs",
            "unpack all of the release's gvisor.tar.bz2",
        )


def needs_sidecars(version: str) -> bool:
    """Report if the output of runsc --version names a release with separate helper programs."""
    match = RELEASE.search(version)
    return match is not None and order(match[1]) >= order(SIDECARS_SINCE)


def _version(path: Path) -> str:
    try:
        return run_command([str(path.absolute()), "--version"], TIMEOUT_SECONDS).output
    except PlaceError:
        return ""


def _sidecars(path: Path) -> Path:
    return Path(os.environ.get("GVISOR_SIDECAR_BINARIES_DIR") or path.resolve().parent / SIDECARS)
