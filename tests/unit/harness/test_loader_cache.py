"""The dynamic loader's cache of an image that is not trusted."""

from pathlib import Path

import pytest

from tests.support.archives import files_layer, layer, write
from tests.support.elf_files import library
from worker_images.harness import loader_cache
from worker_images.model.oci import archive
from worker_images.model.oci.image import ImageError


def cache(rows: int, text: bytes) -> bytes:
    """A cache whose libraries are named by the ends of one text."""
    begin = loader_cache.HEADER.size + rows * loader_cache.ROW.size
    places = range(begin, begin + 2 * rows, 2)
    table = b"".join(loader_cache.ROW.pack(0x303, each, each + 1, 0, 0) for each in places)
    generator = b"ldconfig (GNU libc) stable release version 2.41"
    end = begin + len(text)
    last = loader_cache.EXTENSION.size + end
    extension = (loader_cache.EXTENSION_MAGIC, 1, 0, 0, last, len(generator))
    header = loader_cache.HEADER.pack(loader_cache.MAGIC, rows, len(text), 2, end)
    return header + table + text + loader_cache.EXTENSION.pack(*extension) + generator


def test_names_that_are_ends_of_one_text_are_read() -> None:
    assert loader_cache.read(cache(1, b"abc\0"), "amd64") == {("abc", "bc")}


def test_names_of_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_cache, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="names of more than 1000 bytes"):
        loader_cache.read(cache(50, b"a" * 120 + b"\0"), "amd64")


def test_cache_has_the_libraries_of_configured_and_default_folders(tmp_path: Path) -> None:
    """A folder that the configuration names has its name from there."""
    configuration = ("file", "etc/ld.so.conf.d/x.conf", "# libraries\n/opt\n")
    one = library((), soname="libone.so.1")
    paths = ("opt/libone.so.1", "usr/lib/libone.so.1", "usr/lib/deeper/libone.so.1")
    folders = (("folder", "opt", ""), ("folder", "usr/lib", ""), ("link", "lib", "usr/lib"))
    layers = [layer(*folders, configuration), files_layer(dict.fromkeys(paths, one))]
    found = archive.load(write(tmp_path / "image.tar", layers), tmp_path)
    assert loader_cache.made(found, {0, 1}) == {
        ("libone.so.1", "/opt/libone.so.1"),
        ("libone.so.1", "/lib/libone.so.1"),
    }
