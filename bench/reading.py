"""The bar of reading an image with many files."""

import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.bar import Bar
from tests.support.archives import write
from worker_images.engine.endpoint import Endpoint
from worker_images.model.oci import archive

FILES = 40_000
ROUNDS = 3


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(FILES):
            info = tarfile.TarInfo(f"opt/application/{number // 200}/{number}")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"hi"))
    return buffer.getvalue()


def read(_: Endpoint) -> Bar:
    """An image of 40,000 small files: verified, unpacked and merged."""
    layer = _layer()
    with tempfile.TemporaryDirectory() as scratch:
        path = write(Path(scratch) / "image.tar", [layer])

        def ours() -> None:
            assert len(archive.load(path, Path(scratch)).merged) == FILES

        def theirs() -> None:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                assert len(tar.getmembers()) == FILES

        rounds = [(_seconds(ours), _seconds(theirs)) for _ in range(ROUNDS)]
        taken, peer = (min(column) for column in zip(*rounds, strict=True))
    name = f"reading {FILES:,} files"
    return Bar(name, taken, 2 * peer, "s", "twice Python's tarfile listing the same layer")


def _seconds(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
