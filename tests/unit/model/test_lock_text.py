"""The text of versions.lock, and the changes of a new one."""

import json
from dataclasses import replace
from pathlib import Path

from worker_images.files import ROOT
from worker_images.model import lock
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


def test_changes_of_a_new_lock_are_listed_by_package(tmp_path: Path) -> None:
    found = Lock.read(COMMITTED)
    roots = found.packages["amd64"]
    first, second, *others = roots.files
    other = replace(
        found,
        packages={
            **found.packages,
            "amd64": replace(roots, files=(replace(first, version="99"), *others)),
        },
    )
    assert list(lock.changes(COMMITTED, found.as_text())) == []
    assert list(lock.changes(COMMITTED, other.as_text())) == [
        f"  amd64: {first.name}: {first.version} -> 99",
        f"  amd64: {second.name}: {second.version} -> removed",
    ]
    assert list(lock.changes(tmp_path / "none.lock", found.as_text())) == []
