"""Differences between two locks."""

from dataclasses import replace
from pathlib import Path

from worker_images.files import ROOT
from worker_images.model import lock_differences
from worker_images.model.lock import Lock

COMMITTED = ROOT / "versions.lock"


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
    assert list(lock_differences.of_packages(COMMITTED, found.as_text())) == []
    assert list(lock_differences.of_packages(COMMITTED, other.as_text())) == [
        f"  amd64: {first.name}: {first.version} -> 99",
        f"  amd64: {second.name}: {second.version} -> removed",
    ]
    assert list(lock_differences.of_packages(tmp_path / "none.lock", found.as_text())) == []
