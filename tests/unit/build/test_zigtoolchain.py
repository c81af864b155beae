"""The C compiler as a tar: what a program for glibc needs, with equal bytes each time."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from worker_images.build import zigtoolchain

KEPT = (
    "zig",
    "LICENSE",
    "lib/include/stddef.h",
    "lib/compiler_rt.zig",
    "lib/compiler_rt/udivti3.zig",
    "lib/std/std.zig",
    "lib/libc/glibc/abilists",
    "lib/libc/include/generic-glibc/stdio.h",
    "lib/libc/include/any-linux-any/linux/types.h",
    "lib/libc/include/x86-linux-gnu/bits/wordsize.h",
    "lib/libc/include/aarch64-linux-gnu/bits/wordsize.h",
)
LEFT_OUT = (
    "lib/libcxx/src/new.cpp",
    "lib/libc/musl/src/stdio/puts.c",
    "lib/libc/mingw/crt/crtexe.c",
    "lib/libc/include/x86-freebsd-none/machine/param.h",
    "lib/docs/main.js",
    "__main__.py",
)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with a file of each kind, in no order."""
    path = tmp_path / "ziglang.whl"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("ziglang-0.15.2.dist-info/METADATA", "Name: ziglang")
        for name in reversed((*KEPT, *LEFT_OUT)):
            files.writestr(f"ziglang/{name}", name)
        files.mkdir("ziglang/lib/std/")
    return path


def test_compiler_and_its_library_are_kept(wheel: Path, tmp_path: Path) -> None:
    zigtoolchain.write(wheel, tmp_path / "zig.tar", 1_700_000_000)
    with tarfile.open(tmp_path / "zig.tar") as tar:
        members = tar.getmembers()
        texts = {each.name: tar.extractfile(each).read().decode() for each in members}  # type: ignore[union-attr]
    assert texts == {f"usr/local/zig/{name}": name for name in KEPT}
    assert [each.name for each in members] == sorted(texts)
    assert {each.mtime for each in members} == {1_700_000_000}
    assert {each.name for each in members if each.mode == 0o755} == {"usr/local/zig/zig"}
    assert {each.mode for each in members} == {0o755, 0o644}


def test_tar_has_the_same_bytes_each_time(wheel: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        zigtoolchain.write(wheel, tmp_path / name, 1)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
