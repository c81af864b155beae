"""The Go release that compiles, from its module's zip to a tar that a stage adds."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

PLACE = "usr/local/go"
PROGRAMS = ("bin/", "pkg/tool/")
# The go command's own sources and the library's test data: no build reads them.
UNWANTED = ("src/cmd/", "test/")


def key(total: str) -> str:
    """A digest of the release, by its sum, and of the program that lays it out."""
    return hashlib.sha256((total + Path(__file__).read_text()).encode()).hexdigest()


def write(archive: Path, destination: Path, epoch: int) -> None:
    """Write the release below PLACE.

    Zips of modules keep no modes, so programs are told by their folders, as the go command does.
    """
    with (
        zipfile.ZipFile(archive) as files,
        tarfile.open(destination, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for name in sorted(files.namelist()):
            inside = name.split("/", 2)[2]
            if inside.startswith(UNWANTED) or "/testdata/" in inside:
                continue
            content = files.read(name)
            info = tarfile.TarInfo(f"{PLACE}/{inside}")
            info.size, info.mtime, info.mode = (
                len(content),
                epoch,
                0o755 if inside.startswith(PROGRAMS) else 0o644,
            )
            tar.addfile(info, io.BytesIO(content))
