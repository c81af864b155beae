"""The page cache is emptied, and it is seen whether files are in it."""

import mmap
import os
from pathlib import Path

import pytest

from worker_images.node.measure import page_cache

PAGES = 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 64 pages, on the disk and in the page cache."""
    path = tmp_path / "file"
    path.write_bytes(bytes(PAGES * mmap.PAGESIZE))
    return path


def test_resident_counts_pages_of_all_files(file: Path, tmp_path: Path) -> None:
    """Empty files and files that do not exist have no pages."""
    (tmp_path / "empty").touch()
    assert page_cache.resident([file, tmp_path / "empty", tmp_path / "missing"]) == 1.0
    assert page_cache.resident([tmp_path / "empty"]) == 0.0


def test_empty_writes_to_the_kernel(file: Path, tmp_path: Path) -> None:
    drop = tmp_path / "drop_caches"
    assert page_cache.empty([file], drop) == f"3 in {drop}"
    assert drop.read_text() == "3"
    assert page_cache.resident([file]) == 1.0


def test_empty_drops_the_files_without_the_right_to_write(file: Path, tmp_path: Path) -> None:
    """A folder in the place of the kernel's file refuses the write, also to root."""
    found = page_cache.empty([file, tmp_path / "missing"], tmp_path)
    assert found == "posix_fadvise of the program's files"
    # A file system in memory has no other place for the pages.
    expected = 1.0 if _is_in_memory(tmp_path) else 0.0
    assert page_cache.resident([file]) == expected


def _is_in_memory(path: Path) -> bool:
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    return any(line[2] == number and line[line.index("-") + 1] == "tmpfs" for line in mounts)


def test_files_below_folders_are_found_in_all_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").touch()
    assert [*page_cache.files_below([tmp_path / "a"])] == [tmp_path / "a/b/c"]


def test_file_system_of_a_path_is_named() -> None:
    assert page_cache.file_system(Path("/proc/self")) == "proc"
