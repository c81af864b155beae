"""The text of versions.lock."""

import contextlib
import json
import tempfile
from pathlib import Path

from hypothesis import given

from tests.support.hostile import bounded, changed
from worker_images.errors import DriftError
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


def shortened(value: object) -> object:
    """A lock with at most two items in each list."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    return [shortened(each) for each in value[:2]] if isinstance(value, list) else value


@bounded
@given(changed(shortened(json.loads(COMMITTED.read_text()))))
def test_changed_lock_is_read_or_refused(value: object) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".lock") as file:
        file.write(json.dumps(value))
        file.flush()
        with contextlib.suppress(DriftError):
            assert Lock.read(Path(file.name)).as_text()
