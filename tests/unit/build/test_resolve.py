"""Date of the lock, and the checksum database."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import requirements, resolve, resolve_debian
from worker_images.build.resolve import EMPTY
from worker_images.errors import DriftError, FetchError
from worker_images.files import ROOT
from worker_images.model import lock_differences
from worker_images.model.lock import Lock, Package, Roots
from worker_images.model.project import Project, load

COMMITTED = ROOT / "versions.lock"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the committed lock."""
    path = tmp_path / "versions.lock"
    path.write_text(COMMITTED.read_text())
    return path


def changed(locked: Lock, files: tuple[Package, ...]) -> dict[str, Roots]:
    """The packages of a lock with other files for amd64."""
    return {**locked.packages, "amd64": replace(locked.packages["amd64"], files=files)}


def test_lock_time_is_kept_when_the_packages_are_unchanged(path: Path, locked: Lock) -> None:
    """A lock that is written twice is then the same text."""
    assert resolve_debian.times(EMPTY, path, locked.packages) == locked.debian.resolved


def test_lock_time_is_now_when_a_package_changed(path: Path, locked: Lock) -> None:
    other = changed(locked, locked.packages["amd64"].files[1:])
    (time,) = resolve_debian.times(EMPTY, path, other)
    assert time not in locked.debian.resolved


def test_lock_time_is_added_when_accept_adds_a_package(path: Path, locked: Lock) -> None:
    """Debian's snapshot of the first time may lack the added package."""
    files = locked.packages["amd64"].files
    added = changed(locked, (*files, replace(files[0], name="added")))
    *first, last = resolve_debian.times(locked, path, added)
    assert tuple(first) == locked.debian.resolved
    assert last not in first
    assert resolve_debian.times(locked, path, changed(locked, files[1:])) == locked.debian.resolved


def test_lock_is_not_written_without_a_checksum_database(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setenv("GOSUMDB", "off")
    with pytest.raises(FetchError, match="would not be verified"):
        resolve.write(project, print)


def test_lock_is_not_written_if_files_are_later_than_it(
    checkout: Path, project: Project, locked: Lock
) -> None:
    pins = checkout / "versions.yaml"
    late = str(locked.debian.time + 1)
    pins.write_text(pins.read_text().replace(str(project.file_time), late))
    before = (checkout / "versions.lock").read_text()
    with pytest.raises(DriftError, match=r"file_time: later than versions\.lock; .*use an earlier"):
        resolve.write(load(checkout), print, kept=locked)
    assert (checkout / "versions.lock").read_text() == before


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
    (line,) = lock_differences.from_request(other, wanted, "versions.lock")
    assert line.startswith(
        "versions.lock: modules.gvisor: not in the lock: gvisor.dev/gvisor/runsc"
    )
