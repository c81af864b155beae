"""Release notes show the size of each image with zstd, measured on the released archive."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.archives import digest, files_of, layer, pack
from tests.support.releases import NEW
from worker_images.build import recompress, record
from worker_images.model.oci import inflate
from worker_images.release import sizes
from worker_images.release.record import Released


@pytest.fixture
def released(tmp_path: Path) -> Released:
    """A release of one image that out/ holds and of one that it does not."""
    (tmp_path / "out/slim").mkdir(parents=True)
    plain = layer(("file", "x", "x" * 100_000))
    path = pack(tmp_path / "out/slim/image.tar", files_of([plain], [digest(plain)]))
    held = replace(NEW.platforms[0], manifest_digest=record.manifest(path)[0], zstd=0)
    return replace(NEW, platforms=(held, replace(held, manifest_digest="sha256:0")))


def test_images_in_out_are_measured(released: Released, tmp_path: Path) -> None:
    progress = list[str]()
    found = sizes.with_zstd(released, tmp_path, progress.append)
    plain = layer(("file", "x", "x" * 100_000))
    option = inflate.zstandard().CompressionParameter
    options = {option.compression_level: recompress.LEVEL, option.checksum_flag: 1}
    wanted = len(inflate.zstandard().compress(plain, options=options))
    assert [each.zstd for each in found.platforms] == [pytest.approx(wanted, abs=10), 0]
    assert progress == [f"measuring {released.platforms[0].name} with zstd"]


def test_size_is_measured_once(released: Released, tmp_path: Path) -> None:
    once = sizes.with_zstd(released, tmp_path, print)
    again = sizes.with_zstd(replace(once, platforms=once.platforms[:1]), tmp_path, pytest.fail)
    assert again.platforms == once.platforms[:1]
