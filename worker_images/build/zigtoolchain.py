"""Convert Zig, a C compiler, from its wheel to a tar that a build stage adds."""

import io
import tarfile
import zipfile
from pathlib import Path

PLACE = "usr/local/zig"
FOLDER = "ziglang/"
PROGRAM = "zig"
# What a C program for glibc needs: 210 MB of 380. The rest are other libraries and targets.
KEPT = (
    PROGRAM,
    "LICENSE",
    # the compiler's headers
    "lib/include/",
    # its run-time library, which it compiles from these sources
    "lib/compiler_rt",
    "lib/std/",
    # glibc: symbols of each release, start-up code and headers
    "lib/libc/glibc/",
    "lib/libc/include/aarch64-linux-",
    "lib/libc/include/any-linux-any/",
    "lib/libc/include/generic-glibc/",
    "lib/libc/include/x86-linux-",
)


def write(wheel: Path, destination: Path, epoch: int) -> None:
    """Write the compiler below PLACE."""
    with (
        zipfile.ZipFile(wheel) as files,
        tarfile.open(destination, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for name in sorted(files.namelist()):
            inside = name.removeprefix(FOLDER)
            if inside == name or name.endswith("/") or not inside.startswith(KEPT):
                continue
            content = files.read(name)
            info = tarfile.TarInfo(f"{PLACE}/{inside}")
            info.size, info.mtime = len(content), epoch
            info.mode = 0o755 if inside == PROGRAM else 0o644
            tar.addfile(info, io.BytesIO(content))
