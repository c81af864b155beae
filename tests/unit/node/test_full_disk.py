"""A full disk is reported in one sentence, by every command that unpacks an image."""

import os
import sys
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.archives import layer, write
from worker_images.files import ROOT

MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$0" && TMPDIR="$0" exec "$@"'


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (
            ["pytest", "-q", "tests/image", "--variant=slim", "--mode=derived"],
            4,
            "layer-0.tar: No space left on device; layers are unpacked there",
        ),
        (
            ["worker_images.node", "workload", "--variant=slim", "--trust", "--results={}"],
            4,
            "layer-0.tar: No space left on device; layers are unpacked there",
        ),
        (
            ["worker_images.node", "verify", "--node", "--trust"],
            5,
            "layer-0.tar: No space left on device; layers are unpacked there",
        ),
    ],
)
def test_full_disk_is_one_sentence(
    command: list[str], status: int, message: str, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("not run: mounting a small file system needs root")
    image = write(tmp_path / "image.tar", [layer(("file", "x", os.urandom(1 << 20).hex()))])
    small = tmp_path / "small"
    small.mkdir()
    line = [sys.executable, "-m", *(each.format(tmp_path) for each in command), f"--image={image}"]
    result = commands.run(["unshare", "--mount", "sh", "-c", MOUNT, str(small), *line], cwd=ROOT)
    output = result.stdout + result.stderr
    assert message in output
    assert "Traceback" not in output
    assert "raise " not in output
    assert result.returncode == status
