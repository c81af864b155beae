"""Do files have their new times if only the times changed since an earlier build?"""

import io
import tarfile
from pathlib import Path

import pytest

from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint
from worker_images.model.oci import archive


def built_time(endpoint: Endpoint, folder: Path, time: int, out: str) -> int:
    """The time of a file of one component, which is built and copied as ours are."""
    context = folder / f"{time}{out}".replace("/", "-")
    context.mkdir()
    with tarfile.open(context / "part.tar", "w") as tar:
        info = tarfile.TarInfo("usr/file")
        info.size, info.mtime = 5, time
        tar.addfile(info, io.BytesIO(b"equal"))
    (context / "Dockerfile").write_text(
        f"FROM scratch AS part\nADD part.tar {out}/\n"
        f"FROM scratch\nCOPY --link --from=part {out}/ /\n"
    )
    result = context / "image.tar"
    job = buildx.Job(context / "Dockerfile", context, buildx.archive(result), 10**9)
    buildx.build(endpoint, {"part": job}, context / "build.log")
    return int(archive.load(result, context).merged["/usr/file"].time)


@pytest.mark.parametrize(("folder", "expected"), [("/out-{}", 2000), ("/out", 1000)])
def test_times_are_new_where_the_name_of_the_folder_holds_them(
    folder: str, expected: int, endpoint: Endpoint, tmp_path: Path
) -> None:
    """A control: without the time in the name, BuildKit takes the COPY from its cache."""
    assert built_time(endpoint, tmp_path, 1000, folder.format(1000)) == 1000
    assert built_time(endpoint, tmp_path, 2000, folder.format(2000)) == expected
