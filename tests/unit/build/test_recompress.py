"""Layers are compressed with zstd; what they hold, and the image ID, stay the same."""

import gzip
from pathlib import Path

import pytest

from tests.support import archives
from tests.support.archives import digest, files_of, layer, pack
from worker_images.build import recompress, record
from worker_images.errors import EngineError
from worker_images.model.oci import archive

LAYERS = [layer(("file", name, name * 1000)) for name in ("x", "y", "x")]


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of layers that are not compressed, two of which are equal."""
    monkeypatch.setitem(archives.TYPES, "layer", "application/vnd.oci.image.layer.v1.tar")
    return pack(tmp_path / "image.tar", files_of(LAYERS, [digest(each) for each in LAYERS]))


def test_archive_is_compressed_and_keeps_its_image_id(plain: Path, tmp_path: Path) -> None:
    before = archive.load(plain, tmp_path, strict=True)
    recompress.with_zstd(plain)
    after = archive.load(plain, tmp_path, strict=True)
    assert after.image_id == before.image_id
    assert [each.diff_id for each in after.layers] == [digest(each) for each in LAYERS]
    digest_, image_id, size = record.manifest(plain)
    assert (digest_, image_id) == (after.digest, after.image_id)
    assert size == sum(each.size for each in after.layers) < sum(map(len, LAYERS))


def test_equal_layers_give_equal_bytes_on_any_number_of_processors(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = plain.read_bytes(), set()
    for processors in (1, 3):
        plain.write_bytes(before)
        monkeypatch.setattr("os.cpu_count", lambda number=processors: number)
        recompress.with_zstd(plain)
        found.add(plain.read_bytes())
    assert len(found) == 1


def test_invalid_archive_is_an_error_and_stays(tmp_path: Path) -> None:
    path = pack(tmp_path / "image.tar", files_of([gzip.compress(LAYERS[0])], ["sha256:0"]))
    path.write_bytes(path.read_bytes().replace(b"layer.v1", b"other.v1"))
    before = path.read_bytes()
    with pytest.raises(EngineError, match=r"compressing .*; build it again with --no-cache"):
        recompress.with_zstd(path)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("part-*")) == []
