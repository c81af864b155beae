"""Layers that are compressed with zstd: exactly one frame, also where Python cannot read it."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import archives, commands
from tests.support.archives import TYPES, digest, files_of, layer, pack
from worker_images.files import ROOT
from worker_images.model.oci import archive, inflate
from worker_images.model.oci.image import ImageError

zstd = inflate.zstandard()
KIND = f"{TYPES['layer'].removesuffix('+gzip')}+zstd"
PLAIN = layer(("file", "x", "text"))
FRAME = zstd.compress(PLAIN)
SKIPPABLE = bytes.fromhex("502a4d1802000000") + b"ab"

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write an archive with one layer, whose media type is that of zstd."""
    monkeypatch.setitem(archives.TYPES, "layer", KIND)
    return lambda packed: pack(tmp_path / "image.tar", files_of([packed], [digest(PLAIN)]))


def test_layer_of_one_frame_is_read(write: Write, tmp_path: Path) -> None:
    image = archive.load(write(FRAME), tmp_path, strict=True)
    entry = image.find("/x")
    assert entry
    assert image.read(entry) == b"text"
    assert image.layers[0].diff_id == digest(PLAIN)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (FRAME + FRAME, "data after its zstd frame"),
        (FRAME + SKIPPABLE, "data after its zstd frame"),
        (FRAME + b"\0", "data after its zstd frame"),
        (FRAME[:-1], "cut off"),
        (FRAME[:20] + b"\xff" * 20, "not valid zstd|cut off"),
        (SKIPPABLE + FRAME, "its media type"),
        (gzip.compress(PLAIN, mtime=0), "its media type"),
        (PLAIN, "its media type"),
    ],
)
def test_layer_that_is_not_one_frame_is_refused(
    packed: bytes, message: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match=message):
        archive.load(write(packed), tmp_path)


def test_frame_with_another_media_type_is_refused(tmp_path: Path) -> None:
    """An engine that follows the media type would not read it."""
    path = pack(tmp_path / "image.tar", files_of([FRAME], [digest(PLAIN)]))
    with pytest.raises(ImageError, match=r"its media type, .*tar\+gzip, is wrong"):
        archive.load(path, tmp_path)


def test_frame_with_a_large_window_is_refused(write: Write, tmp_path: Path) -> None:
    """A window of 256 MiB would take as much memory."""
    option = zstd.CompressionParameter
    options = {option.window_log: 28, option.content_size_flag: 0}
    frame = zstd.ZstdCompressor(options=options)
    packed = frame.compress(PLAIN) + frame.flush()
    with pytest.raises(ImageError, match="not valid zstd"):
        archive.load(write(packed), tmp_path)


def test_bomb_is_refused(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "UNCHECKED_BYTES", 2 << 20)
    packed = zstd.compress(layer(("file", "x", "\0" * (12 << 20))))
    with pytest.raises(ImageError, match="bytes of the image unpack to"):
        archive.load(write(packed), tmp_path)
    assert (tmp_path / "layer-0.tar").stat().st_size <= 2 << 20


SCRIPT = """
import sys
from pathlib import Path
from worker_images.model.oci import archive
from worker_images.model.oci.image import ImageError
for name in ("compression.zstd", "backports.zstd"):
    sys.modules[name] = None
try:
    archive.load(Path(sys.argv[1]), Path(sys.argv[2]))
except ImageError as error:
    print(error)
"""


def test_python_without_a_reader_names_what_to_do(write: Write, tmp_path: Path) -> None:
    """As on a GPU node, which has the standard library alone."""
    command = [sys.executable, "-c", SCRIPT, str(write(FRAME)), str(tmp_path)]
    result = commands.run(command, cwd=ROOT)
    assert "use Python 3.14 or later, install the Python package backports.zstd" in result.stdout
    assert "--compression gzip" in result.stdout
