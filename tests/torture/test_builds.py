"""Builds that take minutes: components with C code for arm64, and layers compressed with zstd."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model.oci import archive, elf
from worker_images.model.results import FAILED, PASSED, read

VARIANT = """\
purpose: "full without CUDA"
components: ["gvisor", "runc", "criu", "nvidia-container-toolkit"]
platforms: ["arm64"]
"""
EXPECT = """\
megabytes:
  arm64: "190"
environment:
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""
PROGRAMS = ("/usr/local/sbin/runc", "/usr/sbin/criu", "/usr/bin/nvidia-ctk")
MOST_BYTES = 35_000_000

Build = Callable[..., dict[str, Any]]


@pytest.fixture
def copy(tmp_path: Path, endpoint: Endpoint) -> Iterator[Path]:
    """A copy of the checkout, whose images take no tag of the checkout's."""
    target = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, target, ignore=ignored)
    (target / ".venv").symlink_to(ROOT / ".venv")
    yield target
    built = json.loads((ROOT / "out/slim/build.json").read_text())
    endpoint.images.tag(built["engine_id"], "worker:slim")


@pytest.fixture
def build(copy: Path, endpoint: Endpoint) -> Build:
    """Build in the copy and return the record."""

    def run(*arguments: str) -> dict[str, Any]:
        command = [str(ROOT / ".venv/bin/python"), "build.py", *arguments, "--json"]
        done = commands.run(command, cwd=copy, env={**os.environ, "DOCKER_HOST": endpoint.host})
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return run


def test_components_with_c_code_are_built_for_arm64(build: Build, copy: Path) -> None:
    folder = copy / "images/compute"
    folder.mkdir()
    (folder / "variant.yaml").write_text(VARIANT)
    (folder / "expect.yaml").write_text(EXPECT)
    promises = copy / "tests/image/test_promises.py"
    kept = '"full": BUILD_LEFTOVERS'
    promises.write_text(promises.read_text().replace(kept, f'{kept}, "compute": BUILD_LEFTOVERS'))
    build("--variant", "compute", "--arch", "arm64")
    run = read(copy / "out/compute-arm64/image.xml")
    assert run.with_outcome(PASSED)
    assert not run.with_outcome(FAILED)
    scratch = copy / "scratch"
    scratch.mkdir()
    image = archive.load(copy / "out/compute-arm64/image.tar", scratch, "arm64", strict=True)
    for path in PROGRAMS:
        entry = image.find(path)
        assert entry, path
        assert elf.machine(image.read(entry)) == elf.MACHINES["arm64"], path


def test_zstd_makes_smaller_layers_of_the_same_image(build: Build) -> None:
    built = build("--variant", "slim", "--compression", "zstd")
    plain = json.loads((ROOT / "out/slim/build.json").read_text())
    assert built["image_id"] == plain["image_id"]
    assert built["manifest_digest"] != plain["manifest_digest"]
    assert built["compressed_size"] <= MOST_BYTES
