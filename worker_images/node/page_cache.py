"""Removes files from the machine's page cache, so that the next program reads them from disk."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")
# The page cache, and the kernel's caches of names and inodes.
ALL = "3"


def drop(paths: Sequence[Path]) -> str:
    """Drop all caches, or where the machine forbids that, the pages of some files and folders.

    Return what was done, as words for a report.
    """
    # Pages that are not yet on disk cannot be dropped.
    os.sync()
    try:
        DROP.write_text(ALL)
    except OSError:
        count = sum(_evict(path) for path in _files(paths))
        return f"posix_fadvise of {count} files"
    return str(DROP)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from (each for each in (path, *path.rglob("*")) if each.is_file())


def _evict(path: Path) -> int:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        return 1
    return 0


def file_system(path: Path) -> str:
    """Return the type of the file system of a path; on a tmpfs no cache is cold."""
    best = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4]
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, after.split(" ")[0])
    return best[1]
