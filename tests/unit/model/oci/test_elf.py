"""ELF headers and Go build information, from bytes written here and from real files."""

import struct
import sys
from pathlib import Path

import pytest

from tests.support.elf_files import library
from worker_images.model.oci import elf

MODULES = (
    "path\texample.org/tool/cmd\nmod\texample.org/tool\t(devel)\t\n"
    "dep\tgvisor.dev/gvisor\tv1.2.3\th1:abc=\ndep\ta.b/c\tv1.0.0\n=>\td.e/f\tv2.0.0\th1:x=\n"
)


def program(modules: str = MODULES, machine: int = 62, flags: int = 2) -> bytes:
    """An ELF header, padding, and a Go build record as Go 1.18 and later write it."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine)
    framed = b"\x30" * 16 + modules.encode() + b"\xf9" * 16
    record = b"\xff Go buildinf:" + bytes([8, flags]) + bytes(16)
    return header.ljust(64, b"\0") + record + variable(b"go1.26.11") + variable(framed) + bytes(64)


def variable(data: bytes) -> bytes:
    length, prefix = len(data), bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + data


def written(folder: Path, data: bytes) -> Path:
    path = folder / "program"
    path.write_bytes(data)
    return path


def test_build_information(tmp_path: Path) -> None:
    info = elf.build_info(written(tmp_path, program()))
    assert (info.go, info.path) == ("go1.26.11", "example.org/tool/cmd")
    assert info.modules == {
        "example.org/tool": ("(devel)", ""),
        "gvisor.dev/gvisor": ("v1.2.3", "h1:abc="),
        "a.b/c": ("replaced by d.e/f v2.0.0", "h1:x="),
    }


@pytest.mark.parametrize("machine", elf.MACHINES.values())
def test_machine(machine: int) -> None:
    assert elf.machine(program(machine=machine)) == machine


def test_this_python_is_of_this_machine() -> None:
    with Path(sys.executable).resolve().open("rb") as file:
        assert elf.machine(file.read(64)) in elf.MACHINES.values()


@pytest.mark.parametrize("header", [b"", b"#!/bin/sh\n", b"<?xml version='1.0'?>", b"\x7fELF"])
def test_what_is_no_elf_is_refused(header: bytes) -> None:
    with pytest.raises(elf.ElfError, match="not an ELF file"):
        elf.machine(header)


def test_no_build_information(tmp_path: Path) -> None:
    with pytest.raises(elf.ElfError, match="no Go build information"):
        elf.build_info(written(tmp_path, program()[:64]))


def test_old_build_information(tmp_path: Path) -> None:
    with pytest.raises(elf.ElfError, match=r"before 1\.18"):
        elf.build_info(written(tmp_path, program(flags=0)))


@pytest.mark.parametrize("start", [0, 100])
@pytest.mark.parametrize("names", [(), ("libc.so.6",), ("libm.so.6", "libc.so.6")])
def test_needed_libraries_are_named_in_order(names: tuple[str, ...], start: int) -> None:
    assert elf.needed(bytes(start) + library(names) + b"more", start) == names


def test_needed_libraries_of_this_python_hold_the_c_library() -> None:
    assert "libc.so.6" in elf.needed(Path(sys.executable).resolve().read_bytes())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#!/bin/sh\n", "not a 64-bit"),
        (b"\x7fELF\x01\x01" + bytes(64), "not a 64-bit"),
        (b"\x7fELF\x02\x02" + bytes(64), "not a 64-bit"),
        (library(("libc.so.6",), strings_at=0x9000), "0x9000 is in no segment"),
    ],
)
def test_needed_libraries_of_an_unreadable_file_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(elf.ElfError, match=message):
        elf.needed(data)
