"""Date of the lock, and the checksum database."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import requirements, resolve, resolve_debian
from worker_images.errors import DriftError, FetchError
from worker_images.files import ROOT
from worker_images.model.lock import Lock, differences
from worker_images.model.project import Project

COMMITTED = ROOT / "versions.lock"


def test_lock_date_is_kept_when_the_packages_are_unchanged(tmp_path: Path) -> None:
    """A lock that is written twice is then the same text."""
    path = tmp_path / "versions.lock"
    path.write_text(COMMITTED.read_text())
    found = Lock.read(path)
    assert resolve_debian.date_of(path, found.packages) == found.debian.resolved
    other = {
        **found.packages,
        "amd64": replace(found.packages["amd64"], files=found.packages["amd64"].files[1:]),
    }
    assert resolve_debian.date_of(path, other) != found.debian.resolved


def test_lock_is_not_written_without_a_checksum_database(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setenv("GOSUMDB", "off")
    with pytest.raises(FetchError, match="would not be verified"):
        resolve.write(project, print)


def test_kept_package_has_one_version(locked: Lock) -> None:
    roots = locked.packages["amd64"]
    same = {"base": roots.of("base")}
    merged = resolve_debian.merge(roots.files, same)
    assert merged == {package.name: package for package in roots.files}
    newer = replace(roots.of("base")[0], version="99")
    with pytest.raises(DriftError, match=rf"{newer.name}: locked .* the mirror has 99 now"):
        resolve_debian.merge(roots.files, {"base": (newer,)})


def test_changed_commands_make_the_lock_outdated(project: Project, locked: Lock) -> None:
    module = locked.modules["gvisor"]
    other = replace(
        locked, modules={**locked.modules, "gvisor": replace(module, commands=("gvisor.dev/a",))}
    )
    wanted = requirements.request(project)
    (line,) = differences(other, wanted, "versions.lock")
    assert line.startswith(
        "versions.lock: modules.gvisor: not in the lock: gvisor.dev/gvisor/runsc"
    )
