"""Machine, SONAME and loader are read from ELF files."""

import ctypes.util
import os
import platform
from pathlib import Path

import pytest

from tests.support.trees import NIX_LOADER, interpreted
from worker_images.node import stand_in
from worker_images.node.driver import shared_object
from worker_images.node.driver.shared_object import soname

NOT_LIBRARIES = [
    b"",
    b"/* GNU ld script */\n",
    b"\x7fELF\x01\x01" + bytes(64),
    b"\x7fELF\x02\x01",
    b"\x7fELF\x02\x01" + bytes(90),
    # Program headers beyond the end, and more of them than a file has.
    b"\x7fELF\x02\x01" + b"\xff" * 90,
]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "library").write_bytes(stand_in.elf_library("libcuda.so.1"))
    return tmp_path / "library"


def test_real_library_has_machine_and_soname() -> None:
    with Path("/proc/self/maps").open() as maps:
        loaded = next(
            Path(line.split()[-1]) for line in maps if "/libc.so" in line or "/libc-" in line
        )
    assert soname(loaded) == ctypes.util.find_library("c")
    assert shared_object.machine(loaded) == platform.machine()


def test_soname_of_a_stand_in(library: Path) -> None:
    assert soname(library) == "libcuda.so.1"


@pytest.mark.parametrize("data", NOT_LIBRARIES)
def test_soname_of_other_files_is_empty(data: bytes, library: Path) -> None:
    library.write_bytes(data)
    assert soname(library) == ""


@pytest.mark.parametrize("size", range(8, 300, 16))
def test_soname_of_a_truncated_library_is_empty(size: int, library: Path) -> None:
    complete = stand_in.elf_library("libcuda.so.1")
    library.write_bytes(complete[: min(size, len(complete) - 1)])
    assert soname(library) == ""


def test_soname_with_a_folder_is_only_its_name(library: Path) -> None:
    """bundle creates a link with this name."""
    library.write_bytes(stand_in.elf_library("../../etc/cron.d/job"))
    assert soname(library) == "job"


def test_soname_of_a_huge_library_is_read_without_its_content(library: Path) -> None:
    os.truncate(library, 1 << 40)
    assert soname(library) == "libcuda.so.1"


@pytest.mark.parametrize(
    ("number", "expected"), [(62, "x86_64"), (183, "aarch64"), (243, ""), (3, "")]
)
def test_machine_is_that_of_the_header(number: int, expected: str, library: Path) -> None:
    library.write_bytes(stand_in.elf_library("libcuda.so.1", number))
    assert shared_object.machine(library) == expected


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01\x01" + bytes(40)])
def test_machine_of_other_files_is_empty(data: bytes, library: Path) -> None:
    library.write_bytes(data)
    assert shared_object.machine(library) == ""
    assert shared_object.machine(library.parent / "none") == ""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (interpreted("/lib64/ld-linux-x86-64.so.2"), True),
        (interpreted("/lib/ld-linux-aarch64.so.1"), True),
        (stand_in.elf_library("a program without a loader"), True),
        (b"#!/bin/sh\nexec true\n", True),
        (interpreted(NIX_LOADER), False),
        (interpreted("/usr/local/glibc/lib/ld-linux-x86-64.so.2"), False),
        (b"#! /nix/store/9-bash/bin/bash -e\n", False),
        (b"", False),
    ],
)
def test_program_with_a_loader_of_the_node_does_not_run_in_containers(
    data: bytes, expected: bool, library: Path
) -> None:
    library.write_bytes(data)
    assert shared_object.runs_in_containers(library) is expected


def test_program_of_this_machine_runs_in_containers() -> None:
    assert shared_object.runs_in_containers(Path("/bin/sh").resolve())
    assert not shared_object.runs_in_containers(Path("/none"))
