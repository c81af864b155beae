"""Images are unpacked below their folder alone."""

from pathlib import Path

import pytest

from tests.support import archives
from worker_images.model.oci.image import ImageError
from worker_images.node.unpack import unpack


def test_an_image_that_would_be_written_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = ("link", "x", str(tmp_path / "elsewhere"))
    file = archives.write(
        tmp_path / "image.tar", [archives.layer(link), archives.layer(("file", "x/owned", "1"))]
    )
    with pytest.raises(ImageError, match="/x/owned lies below /x, which is a link"):
        unpack(file, tmp_path / "root")
    assert not list((tmp_path / "elsewhere").iterdir())
