"""Date of the lock, and the checksum database."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import resolve
from worker_images.errors import FetchError
from worker_images.files import ROOT
from worker_images.model.lock import Lock
from worker_images.model.project import Project

COMMITTED = ROOT / "versions.lock"


def test_lock_date_is_kept_when_the_packages_are_unchanged(tmp_path: Path) -> None:
    """A lock that is written twice is then the same text."""
    path = tmp_path / "versions.lock"
    path.write_text(COMMITTED.read_text())
    found = Lock.read(path)
    assert resolve.date_of(path, found.packages) == found.debian.resolved
    other = {
        **found.packages,
        "amd64": replace(found.packages["amd64"], files=found.packages["amd64"].files[1:]),
    }
    assert resolve.date_of(path, other) != found.debian.resolved


def test_lock_is_not_written_without_a_checksum_database(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setenv("GOSUMDB", "off")
    with pytest.raises(FetchError, match="would not be verified"):
        resolve.write(project, print)
