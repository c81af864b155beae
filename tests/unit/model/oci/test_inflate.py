"""Archives that unpack to more than a machine should hold are refused early."""

import errno
import gzip
import os
import sys
import zlib
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.archives import digest, files_of, layer, pack, write
from worker_images.files import ROOT
from worker_images.model.oci import archive, inflate, outline
from worker_images.model.oci.image import ImageError

MIB = 1 << 20


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the ratio from 2 MiB on, and refuse more than 16 MiB."""
    monkeypatch.setattr(inflate, "UNCHECKED_BYTES", 2 * MIB)
    monkeypatch.setattr(inflate, "MAX_BYTES", 16 * MIB)


def image_of(folder: Path, *contents: str) -> Path:
    """An archive with a layer for each file."""
    layers = [layer(("file", "x", text)) for text in contents]
    return write(folder / "image.tar", layers)


def zeros(size: int) -> str:
    return "\0" * size


def noise(size: int) -> str:
    """Text that gzip compresses to about a half."""
    return os.urandom(size // 2).hex()


@pytest.mark.parametrize("contents", [[zeros(12 * MIB)], [zeros(MIB)] * 8])
def test_bomb_is_refused_after_the_first_bytes(contents: list[str], tmp_path: Path) -> None:
    """All layers together count."""
    path = image_of(tmp_path, *contents)
    with pytest.raises(ImageError, match=r"bytes of the image unpack to [0-9]+; more than"):
        archive.load(path, tmp_path)
    written = sum(file.stat().st_size for file in tmp_path.glob("layer-*.tar"))
    assert written <= 2 * MIB
    with pytest.raises(ImageError, match="bytes of the image unpack to"):
        outline.outline(path)


def test_bomb_in_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    """Its layer is compressed to 1/8, but the archive is compressed again, to far less."""
    data = layer(("file", "x", zeros(6 * MIB)))
    weak = zlib.compressobj(wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)
    files = files_of([weak.compress(data) + weak.flush()], [digest(data)])
    path = pack(tmp_path / "image.tar", files)
    assert archive.load(path, tmp_path).find("/x")
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageError, match=r"layer .* bytes of the image unpack to"):
        archive.load(path, tmp_path)


@pytest.mark.parametrize("contents", [[zeros(MIB)], [noise(4 * MIB)], [noise(MIB), zeros(3 * MIB)]])
def test_sound_image_is_read(contents: list[str], tmp_path: Path) -> None:
    path = image_of(tmp_path, *contents)
    assert archive.load(path, tmp_path).find("/x")
    assert len(outline.outline(path).layers) == len(contents)


@pytest.mark.parametrize("compressed", [True, False])
def test_archive_that_unpacks_to_too_much_is_refused(compressed: bool, tmp_path: Path) -> None:
    path = image_of(tmp_path, noise(17 * MIB))
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    with pytest.raises(ImageError, match="unpacks to more than"):
        archive.load(path, tmp_path)


FULL_DISK = """
import sys, tempfile
from pathlib import Path
from worker_images.model.oci import archive
tempfile.tempdir = sys.argv[2]
try:
    archive.load(Path(sys.argv[1]), Path(sys.argv[2]))
except OSError as error:
    print(type(error).__name__, error.errno, error.filename)
"""


@pytest.mark.parametrize("compressed", [True, False])
def test_full_disk_is_not_reported_as_an_invalid_archive(compressed: bool, tmp_path: Path) -> None:
    """Reading to a real file system of 64 KiB raises an OSError that names it."""
    if os.geteuid() != 0:
        pytest.skip("not run: mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    path = image_of(tmp_path, noise(200_000))
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    script = 'mount -t tmpfs -o size=64k tmpfs "$3" && exec "$0" -c "$1" "$2" "$3"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, FULL_DISK, str(path)]
    result = commands.run([*command, str(small)], cwd=ROOT)
    place = small if compressed else small / "layer-0.tar"
    assert result.stdout == f"OSError {errno.ENOSPC} {place}\n", result.stderr
