"""The linter knows which roots, mounts and bundles runsc can use."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.launchers import answers
from tests.support.specifications import add_mount, changed
from worker_images.node.lint import view
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest

# Flags, annotations, the root, and whether its device nodes stay closed.
OVERLAYS: tuple[tuple[tuple[str, ...], dict[str, str], dict[str, object], bool], ...] = (
    ((), {}, {}, True),
    (("--overlay2=none",), {}, {}, False),
    (("-overlay2", "none"), {}, {}, False),
    (("--overlay2=none",), {}, {"readonly": True}, True),
    (("--overlay2=all:memory",), {}, {}, True),
    (("--overlay2=root:dir=/tmp,size=1g",), {}, {}, True),
    (("--overlay2=root:",), {}, {}, False),
    (("--overlay2=none", "--overlay"), {}, {}, True),
    ((), {"dev.gvisor.flag.overlay2": "none"}, {}, False),
    (("--overlay2=none",), {"dev.gvisor.flag.overlay2": "root:self"}, {}, True),
    (("--overlay2=none",), {"dev.gvisor.bundle.experimental-high-performance": "true"}, {}, True),
    (("--overlay2=none",), {"dev.gvisor.bundle.experimental-high-performance": "no"}, {}, False),
    ((), {"dev.gvisor.spec.rootfs.source": "/x", "dev.gvisor.spec.rootfs.type": "bind"}, {}, False),
    ((), {"dev.gvisor.spec.rootfs.source": "/x", "dev.gvisor.spec.rootfs.type": "erofs"}, {}, True),
    (
        (),
        {"dev.gvisor.spec.rootfs.type": "bind", "dev.gvisor.spec.rootfs.overlay": "memory"},
        {},
        True,
    ),
)


@pytest.mark.parametrize(("flags", "annotations", "root", "expected"), OVERLAYS)
def test_overlay_of_the_root_is_that_of_flags_and_annotations(
    flags: tuple[str, ...],
    annotations: dict[str, str],
    root: dict[str, object],
    expected: bool,
    valid: LaunchRequest,
) -> None:
    specification = {**valid.specification, "annotations": annotations, "root": root}
    request = replace(valid, specification=specification, flags=flags)
    assert view.has_root_overlay(request) is expected


def test_relative_paths_are_below_the_bundle(tmp_path: Path) -> None:
    found = view.with_absolute_paths(
        {
            "root": {"path": "../rootfs", "readonly": True},
            "mounts": [
                {"destination": "/a", "source": "x", "options": ["bind"]},
                {"destination": "/b", "source": "/y", "type": "bind"},
                {"destination": "/proc", "source": "proc", "type": "proc"},
                {"destination": "/c", "options": ["bind"]},
            ],
        },
        tmp_path / "bundle",
    )
    assert found["root"] == {"path": f"{tmp_path}/rootfs", "readonly": True}
    assert [each.get("source") for each in found["mounts"]] == [
        f"{tmp_path}/bundle/x",
        "/y",
        "proc",
        None,
    ]
    assert view.with_absolute_paths({}, tmp_path) == {}


@pytest.mark.parametrize(("source", "destination"), [("/usr", "file"), ("/bin/sh", "folder")])
def test_mount_of_another_kind_than_its_destination_is_an_error(
    source: str, destination: str, valid: LaunchRequest
) -> None:
    assert valid.root
    (valid.root / "file").touch()
    (valid.root / "folder").mkdir()
    request = changed(valid, add_mount(source, destination=f"/{destination}"))
    (found,) = findings(request)
    assert (found.rule, found.severity) == ("F14", "error")
    assert f"but /{destination} is a {destination}, with which runsc ends" in found.problem


def test_folder_dev_of_the_image_is_not_a_link(valid: LaunchRequest) -> None:
    assert valid.root
    (valid.root / "dev").symlink_to("usr")
    (found,) = findings(valid)
    assert (found.rule, found.where) == ("F14", "root.path")
    assert "/dev of the image is a link" in found.problem


def test_rootless_runsc_needs_mount_points_in_a_root_of_another_user(
    valid: LaunchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert valid.root
    request = replace(valid, flags=("--rootless",))
    assert answers(request) == []
    # This test may run as root, to whom every folder is open.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert answers(valid) == []
    found = findings(request)
    assert {f"{each.rule} {each.severity}" for each in found} == {"F14 error"}
    # The folder of the bundle has the mount points of the driver's files.
    assert [each.problem.partition(" ")[0] for each in found] == [
        "/usr/local/nvidia",
        *(device["path"] for _, device in valid.devices),
    ]
    (valid.root / "usr/local/nvidia").mkdir(parents=True)
    (valid.root / "dev").mkdir()
    for _, device in valid.devices:
        (valid.root / device["path"][1:]).touch()
    assert answers(request) == []


def test_root_that_is_a_file_is_an_error(valid: LaunchRequest, tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    request = changed(valid, lambda each: each["root"].update(path=f"{tmp_path}/image"))
    assert "F14 error" in answers(request)
