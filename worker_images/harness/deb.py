"""Debian packages as the test harness reads them.

The build has a reader of its own: a fault in one must not pass the other.
"""

import contextlib
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from worker_images.errors import EngineError
from worker_images.model.oci.image import Entry


@contextlib.contextmanager
def open_files(path: Path) -> Iterator[tarfile.TarFile]:
    """Read the files of a .deb, in order; raises EngineError."""
    with _stream(path, "--fsys-tarfile") as tar:
        yield tar


@contextlib.contextmanager
def open_control(path: Path) -> Iterator[tarfile.TarFile]:
    """Read the control files of a .deb, in order; raises EngineError."""
    with _stream(path, "--ctrl-tarfile") as tar:
        yield tar


@contextlib.contextmanager
def _stream(path: Path, part: str) -> Iterator[tarfile.TarFile]:
    command = ["dpkg-deb", part, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|", encoding="utf-8") as tar:
                yield tar
                # What follows the last entry, so that dpkg-deb does not fail on a closed pipe.
                process.stdout.read()
        except tarfile.TarError as error:
            raise EngineError(f"reading {path}: {error}; delete it and run again") from error
        message = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise EngineError(f"reading {path}: {message}; delete it and run again")


def entry_of(info: tarfile.TarInfo) -> Entry:
    """A member of a package as an entry of a layer."""
    kinds = (
        (info.isdir, "folder"),
        (info.issym, "link"),
        (info.islnk, "hardlink"),
        (info.isfile, "file"),
        (info.isfifo, "fifo"),
    )
    kind = next((name for matches, name in kinds if matches()), "device")
    return Entry(
        path=_path(info.name),
        kind=kind,
        mode=info.mode,
        size=info.size,
        target=_path(info.linkname) if kind == "hardlink" else info.linkname,
        time=info.mtime,
        layer=0,
        offset=0,
        user=info.uid,
        group=info.gid,
        attributes=(),
    )


def _path(name: str) -> str:
    return "/" + name.removeprefix("./").strip("/")
