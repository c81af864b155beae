"""Layers: what Go and Python may read differently is refused."""

import io
import tarfile
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.archives import layer
from tests.support.timing import LINEAR, growth
from worker_images.model.oci import tar
from worker_images.model.oci.image import Entry, ImageError

BLOCK = 512


def read(data: bytes, *, strict: bool = False) -> list[Entry]:
    """The entries of a layer."""
    return list(tar.read(io.BytesIO(data), strict=strict))


def raw(
    *names: str,
    everywhere: dict[str, str] | None = None,
    here: dict[str, str] | None = None,
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    """A layer of one-byte files, with any names and extended headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers=everywhere) as packed:
        for name in names or ("usr/x",):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = 1, here or {}
            packed.addfile(info, io.BytesIO(b"x"))
    return buffer.getvalue()


def header(edit: Callable[[bytearray], None]) -> bytes:
    """A layer of one empty file whose header is edited, with a true checksum."""
    info = tarfile.TarInfo("usr/x")
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    edit(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(2 * BLOCK)


def put(begin: int, data: bytes) -> Callable[[bytearray], None]:
    """Write bytes to a header."""

    def edit(block: bytearray) -> None:
        block[begin : begin + len(data)] = data

    return edit


def extended(*keys: str) -> bytes:
    """A layer of one file with a PAX header for each key."""
    parts = [raw(here={key: "1"})[: 2 * BLOCK] for key in keys]
    return b"".join([*parts, raw()])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw("usr/../x"), "ambiguous"),
        (raw("usr/.wh."), "a whiteout without a name"),
        (raw(".wh..."), "a whiteout without a name"),
        (raw("a/" * 201 + "b"), "more than 200 folders"),
        (raw("a" * 4097), "more than 4096 bytes"),
        (raw("usr/.wh.x"), "a whiteout with contents"),
        (raw("usr/.wh.x/y"), "below a whiteout"),
        (raw("usr//x"), "ambiguous"),
        (raw("//usr/x"), "ambiguous"),
        (raw(here={"GNU.sparse.name": "."}), "GNU.sparse.name"),
        (raw(here={"SCHILY.fflags": "x"}), "SCHILY.fflags"),
        (raw(here={"mtime": "inf"}), "time 'inf'"),
        (raw(here={"uid": "-1"}), "uid '-1'"),
        (raw(here={"path": ""}), "an empty path"),
        (raw(here={"linkpath": ""}), "an empty linkpath"),
        (raw(everywhere={"comment": "x"}), "a member of type 'g', .* docker buildx"),
        (extended("mtime", "mtime"), "two extended headers"),
        (extended("SCHILY.xattr.security.capability", "mtime"), "two extended headers"),
        (raw() + b"behind", "trailing data after its end"),
        (raw()[: 2 * BLOCK], "no end mark"),
        (header(put(124, b"-0000001000\0")), "a number that is not octal"),
        (header(put(124, b"\x80" + bytes(10) + b"\1")), "a number that is not octal"),
        (header(put(108, b"\xff" * 8)), "a number that is not octal"),
        (header(put(156, b"S")), "a member of type 'S'"),
        (header(put(156, b"7")), "a member of type '7'"),
        (header(put(156, b"x")), "an extended header"),
        (header(put(257, bytes(8))), "neither POSIX nor GNU"),
        (header(put(4, b"\0hidden")), "bytes after its end"),
        (header(put(157, b"target")), "a file with a target"),
        (header(put(508, b"tar\0")), "fields of an old format"),
        (raw()[: BLOCK + 1] + b"x" + raw()[BLOCK + 2 :], "bytes after its end"),
        (bytes([1]) + raw()[1:], "a wrong checksum"),
        (b"", "no end mark"),
    ],
)
def test_layer_that_an_engine_may_read_differently_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read(data)


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_contents_of_a_member_that_is_not_a_file_are_refused(kind: bytes) -> None:
    """Python skips such contents; Go reads them as a header."""

    def edit(block: bytearray) -> None:
        put(156, kind)(block)
        put(124, b"00000001000\0")(block)

    with pytest.raises(ImageError, match="with contents"):
        read(header(edit))


def test_layer_with_plain_names_is_read() -> None:
    """The control of the tests above; a name of three dots is valid."""
    data = raw("usr/x", "...", "./y", "/z", "." + "n" * 200)
    assert [entry.path for entry in read(data)] == ["/usr/x", "/...", "/y", "/z", "/." + "n" * 200]
    assert [entry.path for entry in read(header(lambda _: None))] == ["/usr/x"]
    assert [entry.path for entry in read(layer(("folder", ".", ""), ("folder", "a/", "")))] == [
        "/",
        "/a",
    ]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_a_long_name_is_read(form: int) -> None:
    name = "/".join(["n" * 60] * 3)
    (entry,) = read(raw(name, form=form))
    assert (entry.path, entry.size) == (f"/{name}", 1)


def test_strict_layer_has_no_gnu_headers() -> None:
    """BuildKit writes POSIX headers, extended by PAX."""
    name = "n" * 200
    assert read(raw(name), strict=True)
    assert read(raw(name, form=tarfile.GNU_FORMAT))
    with pytest.raises(ImageError, match="neither POSIX nor GNU"):
        read(raw(name, form=tarfile.GNU_FORMAT), strict=True)


@pytest.mark.parametrize(
    "data",
    [
        raw("a", "b", "c"),
        raw("a" * 1200),
        raw(here={f"SCHILY.xattr.{number}": "" for number in range(20)}),
    ],
)
def test_memory_of_members_is_bounded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_MEMORY", 2 * tar.ENTRY_BYTES + 100)
    assert len(read(raw("a", "b"))) == 2
    with pytest.raises(ImageError, match="too many members"):
        read(data)


def test_extended_header_is_read_in_linear_time() -> None:
    """Each record of an extended header is read once."""

    def work(size: int) -> object:
        return read(raw(here={f"SCHILY.xattr.{number}": "" for number in range(size)}))

    assert growth(work, 2_000, LINEAR) < LINEAR


def test_extended_header_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_HEADER_BYTES", 100)
    with pytest.raises(ImageError, match="an extended header of"):
        read(raw(here={"uname": "u" * 200}))


def cut(data: bytes, places: Iterable[int]) -> bytes:
    """The data without some of its blocks."""
    edges = sorted({0, len(data), *(place * BLOCK % len(data) for place in places)})
    return b"".join(data[begin:end] for begin, end in list(pairwise(edges))[::2])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 40), max_size=4),
    st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), max_size=4),
)
def test_altered_layer_is_read_like_python_or_refused(
    places: list[int], changes: list[tuple[int, int]]
) -> None:
    """No input ends in another exception, and what is read is what Python's tarfile reads."""
    data = bytearray(cut(raw("a/b", "c" * 120, "d", here={"mtime": "1.5"}), places))
    for position, value in changes:
        if data:
            data[position % len(data)] = value
    try:
        found = read(bytes(data))
    except ImageError:
        return
    with tarfile.open(fileobj=io.BytesIO(bytes(data)), encoding="utf-8") as other:
        names = ["/" + info.name.removeprefix("./").strip("/") for info in other]
    assert [entry.path for entry in found] == names
