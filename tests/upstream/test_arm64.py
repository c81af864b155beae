"""Do addresses and folders follow the architecture, and does a builder without it refuse?"""

import subprocess
from pathlib import Path

import pytest

from tests.upstream import checkout
from tests.upstream.stand_in import StandIn
from worker_images.errors import EngineError
from worker_images.files import ROOT
from worker_images.harness.options import not_run

HADOLINT = ROOT / ".venv/bin/hadolint"
EMULATION = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
ARM64 = ("--variant", "full", "--arch", "arm64")


@pytest.fixture(scope="module")
def pinned(upstream: StandIn) -> Path:
    """A checkout with digests of files for arm64; no host has such files."""
    folder = upstream.checkout("arm64")
    checkout.pin_arm64(folder, upstream.digests)
    return folder


def test_dockerfile_names_files_and_folders_of_arm64(upstream: StandIn, pinned: Path) -> None:
    done = upstream.build(pinned, *ARM64, "--print", "dockerfile")
    assert done.returncode == 0, done.stderr
    for text in (
        "/20260622.0/aarch64/runsc\n",
        "/v1.5.2/runc.arm64\n",
        "/stable/deb/arm64 /",
        "/usr/local/cuda-12.8/targets/sbsa-linux/lib/libcudart.so.*",
    ):
        assert text in done.stdout
    assert "amd64" not in done.stdout
    assert "x86_64" not in done.stdout


def test_dockerfile_for_arm64_is_linted(
    upstream: StandIn, pinned: Path, pytestconfig: pytest.Config
) -> None:
    if not HADOLINT.exists():
        not_run(pytestconfig, "upstream", "hadolint is not installed; run: scripts/setup lint")
    text = upstream.build(pinned, *ARM64, "--print", "dockerfile").stdout
    command = [str(HADOLINT), "--config", str(ROOT / ".hadolint.yaml"), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert text
    assert done.returncode == 0, done.stdout


def test_builder_without_emulation_is_refused(
    upstream: StandIn, pinned: Path, pytestconfig: pytest.Config
) -> None:
    if EMULATION.exists():
        not_run(pytestconfig, "upstream", "this machine emulates arm64")
    done = upstream.build(pinned, *ARM64)
    assert done.returncode == EngineError.exit_code
    assert "cannot run programs of arm64" in done.stderr
    assert "binfmt --install arm64" in done.stderr


def test_image_for_arm64_builds(pytestconfig: pytest.Config) -> None:
    """The hosts have no files for arm64: no test builds them here."""
    not_run(pytestconfig, "upstream", "the stand-ins have no programs and packages for arm64")
