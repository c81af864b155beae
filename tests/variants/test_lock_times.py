"""Do the layers of an image stay the same when Debian's packages are locked on another day?"""

import os
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model.lock import Lock
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

LATER = "2027-03-01T00:00:00Z"
TIMES = re.compile(r'("resolved": \[.*)\]')


@pytest.fixture
def relocked(endpoint: Endpoint, tmp_path: Path) -> Image:
    """Slim, built from a copy of the checkout whose lock has a later time and the same packages."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    path = copy / "versions.lock"
    text, count = TIMES.subn(rf'\1, "{LATER}"]', path.read_text())
    assert count == 1
    path.write_text(text)
    result = commands.run(
        [str(ROOT / ".venv/bin/python"), "build.py", "--variant", "slim", "--no-test"],
        cwd=copy,
        env={**os.environ, "DOCKER_HOST": endpoint.host},
    )
    assert result.returncode == 0, result.stderr
    layers = tmp_path / "relocked"
    layers.mkdir()
    return archive.load(copy / "out/slim/candidate.tar", layers)


def undated(config: Mapping[str, object]) -> tuple[object, set[float]]:
    """Return a configuration without its times, and those times in seconds since 1970."""
    history = config["history"]
    assert isinstance(history, list)
    times = [config["created"], *(step["created"] for step in history)]
    steps = [{**step, "created": ""} for step in history]
    return {**config, "created": "", "history": steps}, {
        datetime.fromisoformat(str(each)).timestamp() for each in times
    }


def test_later_lock_changes_only_the_time_of_the_image(relocked: Image, tmp_path: Path) -> None:
    layers = tmp_path / "built"
    layers.mkdir()
    built = archive.load(ROOT / "out/slim/image.tar", layers)
    assert [layer.diff_id for layer in relocked.layers] == [layer.diff_id for layer in built.layers]
    before, after = undated(built.config), undated(relocked.config)
    assert after[0] == before[0]
    assert before[1] == {Lock.read(ROOT / "versions.lock").debian.time}
    assert after[1] == {datetime.fromisoformat(LATER).timestamp()}
