"""Convert the Go toolchain from a module zip to a tar that a build stage adds."""

import io
import tarfile
import zipfile
from pathlib import Path

PLACE = "usr/local/go"
PROGRAMS = ("bin/", "pkg/tool/")
# Builds do not read the sources of the go command and the standard library's test data.
UNWANTED = ("src/cmd/", "test/")


def write(archive: Path, destination: Path, epoch: int) -> None:
    """Write the release below PLACE.

    Module zips have no file modes, so files below PROGRAMS become executable. The go command
    does the same.
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
