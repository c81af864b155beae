"""The linter knows destinations and options at which runsc cannot mount."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.launchers import answers
from tests.support.specifications import Change, add_mount, changed
from worker_images.node.lint.lint import violations
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import mount_points


def tmpfs(option: str) -> Change:
    mount = {"destination": "/x", "type": "tmpfs", "options": [option]}
    return lambda specification: specification["mounts"].append(mount)


# A change, and the refusal; empty if runsc accepts it. The root has a file and a loop of links.
MOUNTS: tuple[tuple[Change, str], ...] = (
    (add_mount("/usr", destination="/file/x"), "/file is a file, below which runsc cannot mount"),
    (add_mount("/usr", destination="/folder/x"), ""),
    (add_mount("/usr", destination="/loop"), "/loop is a loop of links"),
    (add_mount("/usr", options=["rbind", "rslave", "rprivate"]), "rslave and rprivate exclude"),
    (add_mount("/usr", options=["rbind", "slave", "rslave"]), ""),
    (tmpfs("size=64Q"), "size=64Q, which runsc refuses"),
    (tmpfs("size=64m"), ""),
    (tmpfs("size=50%"), ""),
    (tmpfs("size="), "size=, which runsc refuses"),
    (tmpfs("mode=1777"), ""),
    (tmpfs("mode=999"), "mode=999, which runsc refuses"),
    (tmpfs("uid=1000"), ""),
    (tmpfs("uid=user"), "uid=user, which runsc refuses"),
    (tmpfs("gid=-1"), "gid=-1, which runsc refuses"),
    (tmpfs("huge=always"), ""),
    (add_mount("/usr", options=["rbind", "remount", "ro"]), "the option remount"),
    (add_mount("/usr", options=["rbind", "relatime"]), ""),
    (add_mount("/dev", destination="/dev", type="bind", options=[]), "without the option bind"),
    (add_mount("/dev/pts", destination="/dev/pts/", type="bind", options=["rw"]), "without the"),
    (add_mount("/dev/pts", destination="/dev/pts", type="bind"), ""),
)


@pytest.mark.parametrize(("change", "problem"), MOUNTS)
def test_mount_is_refused_for_its_destination_or_options(
    change: Change, problem: str, valid: LaunchRequest
) -> None:
    assert valid.root
    (valid.root / "file").touch()
    (valid.root / "folder").mkdir()
    (valid.root / "loop").symlink_to("loop")
    found = [each for each in violations(changed(valid, change)) if each.rule == "F14"]
    assert len(found) == bool(problem)
    assert not problem or problem in found[0].problem


# An option, and flags of the source's file system: those with which runsc starts, and others.
TIMES: tuple[tuple[str, int, int], ...] = (
    ("noatime", os.ST_NOATIME, os.ST_RELATIME),
    ("nodiratime", os.ST_NODIRATIME | os.ST_RELATIME, os.ST_RELATIME),
    ("strictatime", 0, os.ST_RELATIME),
)


@pytest.mark.parametrize(("option", "right", "wrong"), TIMES)
def test_times_of_a_mount_are_those_of_its_source(
    option: str, right: int, wrong: int, valid: LaunchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux locks them in a user namespace, which runsc makes for directfs."""
    request = changed(valid, add_mount("/usr", options=["rbind", option]))
    for flags, expected in ((right, []), (wrong, ["F14 error"])):
        found = SimpleNamespace(f_flag=flags)
        monkeypatch.setattr(os, "statvfs", lambda _, found=found: found)
        assert answers(request) == expected
    for flag in ("--network=host", "--directfs=false"):
        assert answers(replace(request, flags=(flag,))) == []
    user = {"namespaces": [{"type": "user"}], "uidMappings": [{"size": 1}]}
    own = changed(request, lambda each: each["linux"].update(user))
    assert answers(replace(own, flags=("--network=host",))) == ["F14 error"]


@pytest.mark.parametrize(
    ("options", "flags", "expected"),
    [
        (["rbind"], (), []),
        (["rbind"], ("--overlay2=all:memory",), ["F14 error"]),
        (["rbind"], ("--overlay2=none", "--overlay"), ["F14 error"]),
        (["rbind"], ("--overlay2=all:",), []),
        (["rbind", "ro"], ("--overlay2=all:memory",), []),
    ],
)
def test_overlay_is_over_files_and_folders_alone(
    options: list[str], flags: tuple[str, ...], expected: list[str], valid: LaunchRequest
) -> None:
    """Bazel's sandbox mounts /dev/null over files."""
    request = changed(valid, add_mount("/dev/null", options=options))
    assert answers(replace(request, flags=flags)) == expected


def test_block_device_is_not_mounted(
    valid: LaunchRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").touch()
    request = changed(valid, add_mount(f"{tmp_path}/disk"))
    assert answers(request) == []
    monkeypatch.setattr(mount_points, "_kind", lambda _: stat.S_IFBLK)
    found = violations(request)
    assert {each.rule for each in found} == {"F14"}
    assert f"{tmp_path}/disk is a block device" in found[-1].problem
