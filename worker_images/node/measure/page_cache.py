"""Empties this machine's page cache, and reports how much of some files it holds."""

import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")
EVERYTHING = "3"
# As runsc reads the memory of a checkpoint: READERS at once, so many bytes each.
READERS, READ_BYTES = 64, 256 << 10
MAP_FAILED = ctypes.c_void_p(-1).value


def empty(files: Iterable[Path], drop: Path = DROP) -> str:
    """Empty the page cache, and return how.

    Without the right to write `drop`, only the pages of the files leave it, and of these only pages
    that no running program has mapped.
    """
    os.sync()
    try:
        drop.write_text(EVERYTHING)
    except OSError:
        for file in files:
            with contextlib.suppress(OSError), file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return "posix_fadvise of the program's files"
    return f"{EVERYTHING} in {drop}"


def resident(files: Iterable[Path]) -> float:
    """Return the part of the files' pages that are in the page cache; 0 without pages.

    The kernel shows it to the owner of a file and to root; to others each page looks resident.
    """
    counts = [_pages(file) for file in files]
    total = sum(pages for _, pages in counts)
    return sum(cached for cached, _ in counts) / total if total else 0.0


def _pages(file: Path) -> tuple[int, int]:
    """Return how many pages of a file are in the page cache, and how many it has."""
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return _mapped(stream.fileno(), size) if size else (0, 0)
    except OSError:
        return 0, 0


def _mapped(descriptor: int, size: int) -> tuple[int, int]:
    # The module mmap does not give the address of a mapping that is not writable.
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    length = ctypes.c_size_t(size)
    address = library.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if address == MAP_FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    pages = -(-size // mmap.PAGESIZE)
    found = ctypes.create_string_buffer(pages)
    try:
        if library.mincore(ctypes.c_void_p(address), length, found):
            raise OSError(ctypes.get_errno(), "mincore")
    finally:
        library.munmap(ctypes.c_void_p(address), length)
    return sum(byte & 1 for byte in found.raw[:pages]), pages


def read_seconds(file: Path, *, direct: bool) -> float:
    """Read a file once with several threads, and return the seconds.

    With `direct` the page cache is not used. Raises OSError if the file system cannot do that.
    """
    size = file.stat().st_size
    descriptor = os.open(file, os.O_RDONLY | (os.O_DIRECT if direct else 0))

    def read(first: int) -> None:
        # O_DIRECT needs memory at the address of a page.
        with mmap.mmap(-1, READ_BYTES) as buffer:
            for offset in range(first * READ_BYTES, size, READERS * READ_BYTES):
                os.preadv(descriptor, [buffer], offset)

    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(read, range(READERS)))
    finally:
        os.close(descriptor)
    return time.monotonic() - begun


def files_below(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files in folders."""
    for folder in folders:
        yield from filter(Path.is_file, folder.rglob("*"))


def file_system(path: Path) -> str:
    """Return the type of the file system of a path; on a tmpfs no cache is cold."""
    best = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4]
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, after.split(" ")[0])
    return best[1]
