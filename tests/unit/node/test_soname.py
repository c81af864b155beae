"""SONAMEs are read from ELF libraries."""

import ctypes.util
from pathlib import Path

import pytest

from worker_images.node import stand_in
from worker_images.node.soname import soname


def test_soname_of_a_real_library() -> None:
    with Path("/proc/self/maps").open() as maps:
        loaded = next(
            Path(line.split()[-1]) for line in maps if "/libc.so" in line or "/libc-" in line
        )
    assert soname(loaded) == ctypes.util.find_library("c")


def test_soname_of_a_stand_in(tmp_path: Path) -> None:
    (tmp_path / "library").write_bytes(stand_in.elf_library("libcuda.so.1"))
    assert soname(tmp_path / "library") == "libcuda.so.1"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"/* GNU ld script */\n",
        b"\x7fELF\x01\x01" + bytes(64),
        b"\x7fELF\x02\x01",
        b"\x7fELF\x02\x01" + bytes(90),
    ],
)
def test_soname_of_other_files_is_empty(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "library").write_bytes(data)
    assert soname(tmp_path / "library") == ""


@pytest.mark.parametrize("size", range(8, 300, 16))
def test_soname_of_a_truncated_library_is_empty(size: int, tmp_path: Path) -> None:
    complete = stand_in.elf_library("libcuda.so.1")
    (tmp_path / "library").write_bytes(complete[: min(size, len(complete) - 1)])
    assert soname(tmp_path / "library") == ""
