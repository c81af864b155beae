"""Images are unpacked only below the target folder."""

from pathlib import Path

import pytest

from tests.support import archives
from worker_images.model.oci.image import ImageError
from worker_images.node.unpack import unpack


def test_file_below_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = ("link", "x", str(tmp_path / "elsewhere"))
    file = archives.write(
        tmp_path / "image.tar", [archives.layer(link), archives.layer(("file", "x/owned", "1"))]
    )
    with pytest.raises(ImageError, match="/x/owned is below /x, which is a link"):
        unpack(file, tmp_path / "root")
    assert not list((tmp_path / "elsewhere").iterdir())
