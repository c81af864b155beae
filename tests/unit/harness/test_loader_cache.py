"""The dynamic loader's cache of an image that is not trusted."""

import pytest

from worker_images.harness import loader_cache
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
