"""Is another mode, owner or time of / itself found without the ledger?"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import image_tests
from tests.support.altered import Archive, Members
from tests.support.derived_images import archive_of
from tests.support.members import Member, other, owned
from worker_images.files import ROOT
from worker_images.model import pins

DECLARED = "test_world::test_every_path_of_every_layer_is_declared"
TIMES = "test_world::test_times_are_those_of_packages_or_the_pinned_one"
BASE = 0


def root(mode: int = 0o755, time: int | None = None) -> Member:
    """An entry for /, which BuildKit does not write for our layers."""
    member = other("folder", "./", mode=mode)
    pinned = int(pins.load(ROOT / "versions.yaml")[0].file_time)
    member[0].mtime = pinned if time is None else time
    return member


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (lambda: root(0o777), {DECLARED: "/: a folder 0777 0:0, want a folder 0755 0:0"}),
        (lambda: owned(root(), 1), {DECLARED: "/: a folder 0755 1:0, want a folder 0755 0:0"}),
        (lambda: root(time=1), {TIMES: "/: time 1, want"}),
        (root, {}),
    ],
)
def test_root_folder_is_tested_like_other_folders(
    member: Callable[[], Member], expected: dict[str, str], tmp_path: Path
) -> None:
    archive = Archive.read(archive_of("slim"))
    archive.edit_layer(BASE, lambda members: _insert(members, member()))
    found = image_tests.failures("slim", archive.write(tmp_path / "image.tar"), [DECLARED, TIMES])
    assert found.keys() == expected.keys()
    assert all(text in found[check] for check, text in expected.items())


def _insert(members: Members, member: Member) -> None:
    members.rows.insert(0, member)
