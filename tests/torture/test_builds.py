"""Builds that take minutes: full for arm64, and layers compressed with zstd."""

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
from worker_images.model.results import FAILED, PASSED, read

LEDGER_CHECK = "test_layer_matches_the_ledger_where_its_inputs_were_reviewed"
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


def test_full_for_arm64_is_compiled_again_to_the_reviewed_layers(build: Build, copy: Path) -> None:
    build("--variant", "full", "--arch", "arm64", "--no-cache")
    run = read(copy / "out/full-arm64/image.xml")
    assert LEDGER_CHECK in {each.function for each in run.with_outcome(PASSED)}
    assert not run.with_outcome(FAILED)


def test_zstd_makes_smaller_layers_of_the_same_image(build: Build) -> None:
    built = build("--variant", "slim", "--compression", "zstd")
    plain = json.loads((ROOT / "out/slim/build.json").read_text())
    assert built["image_id"] == plain["image_id"]
    assert built["manifest_digest"] != plain["manifest_digest"]
    assert built["compressed_size"] <= MOST_BYTES
