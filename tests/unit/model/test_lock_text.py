"""The text of versions.lock."""

import json
from pathlib import Path

from worker_images.files import ROOT
from worker_images.model.lock import Lock

COMMITTED = ROOT / "versions.lock"


def test_lock_is_equal_after_writing_and_reading(tmp_path: Path) -> None:
    found = Lock.read(COMMITTED)
    (tmp_path / "versions.lock").write_text(found.as_text())
    assert Lock.read(tmp_path / "versions.lock") == found
    assert COMMITTED.read_text() == found.as_text()


def test_each_package_of_the_lock_takes_one_line() -> None:
    """A difference of the lock is readable in a review."""
    data = json.loads(COMMITTED.read_text())
    lines = COMMITTED.read_text().splitlines()
    for roots in data["packages"].values():
        for row in roots["files"]:
            assert any(line.strip().rstrip(",") == json.dumps(row) for line in lines), row["name"]
