"""Checks the root that a caller of bundle names, which is a path as runsc sees it."""

import tarfile
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.node.bundle import bytecode

STEP = "unpack the user's image into a folder, and name that folder"


def resolved(rootfs: Path, host: str = "") -> Path:
    """Return the root without links, through which runsc mounts nothing.

    Links of a machine below `host` cannot be followed here.
    """
    return rootfs if host else rootfs.resolve()


def check(rootfs: Path, host: str = "") -> str:
    """Return a note: why the root was not checked, or what makes its programs start slowly.

    Below `host`, the path is looked for on this machine, too. Raises UsageError for a root that
    runsc cannot use.
    """
    is_below = bool(host) and rootfs.is_relative_to(host)
    places = (*((Path("/", rootfs.relative_to(host)),) if is_below else ()), rootfs)
    try:
        if found := next((each for each in places if each.exists()), None):
            _check_folder(rootfs, found)
            return bytecode.note(found)
    except PermissionError:
        return f"--rootfs {rootfs} was not checked: this user may not read it"
    if host and not is_below:
        return f"--rootfs {rootfs} was not checked: this machine does not have it"
    raise UsageError(f"--rootfs {rootfs}: {places[0]} does not exist; {STEP}")


def _check_folder(rootfs: Path, found: Path) -> None:
    if not found.is_dir():
        kind = (
            "an image archive" if found.is_file() and tarfile.is_tarfile(found) else "not a folder"
        )
        raise UsageError(f"--rootfs {rootfs} is {kind}; {STEP}")
    if (found / "oci-layout").is_file():
        raise UsageError(f"--rootfs {rootfs} is an OCI layout, not the root of an image; {STEP}")
    if not any(found.iterdir()):
        raise UsageError(f"--rootfs {rootfs} is empty; {STEP}")
