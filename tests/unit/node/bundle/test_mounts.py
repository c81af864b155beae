"""bundle refuses a caller's mounts that cannot work."""

from pathlib import Path

import pytest

from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.node import Node

Capture = pytest.CaptureFixture[str]


def run(folder: Path, mount: str) -> int:
    paths = ["--rootfs", f"{folder}/rootfs", "--into", f"{folder}/bundle", "--mount", mount]
    return main(["bundle", *paths, "--", "true"], ROOT)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ("/usr:/usr/local", "would hide /usr/local/nvidia of the driver"),
        ("/usr:/usr/local/nvidia/lib64", "would hide /usr/local/nvidia/lib64/libcuda.so"),
        ("/usr:/dev", "would hide /dev/nvidia-uvm of the driver"),
        ("/dev/null:/dev/nvidia0", "would hide /dev/nvidia0 of the driver"),
        ("/none:/data", "/none does not exist"),
    ],
)
def test_mount_that_is_missing_or_hides_the_driver_is_refused(
    mount: str, message: str, gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    assert run(tmp_path, mount) == UsageError.exit_code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
    assert run(tmp_path, "/usr:/usr/local/data") == 0
