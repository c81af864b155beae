"""What later layers change of a worker image."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.archives import write
from tests.support.members import Member, file, layer, other, owned
from tests.support.timing import LINEAR, growth
from worker_images.harness import changes, updates
from worker_images.harness.dpkg import Installed
from worker_images.harness.updates import Updates
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image
from worker_images.model.rootfs import Rules

STATUS = "var/lib/dpkg/status.d"
BASE = [
    other("folder", "usr/bin"),
    file("usr/bin/tool", "tool", 0o755),
    file("usr/lib/libx.so.1.1", "one"),
    other("link", "usr/lib/libx.so.1", "libx.so.1.1"),
    other("link", "lib", "usr/lib"),
    file("etc/passwd", "root"),
    file(f"{STATUS}/libx", "Package: libx\nVersion: 1.1-1\n"),
    file(f"{STATUS}/libx.md5sums", "0123  usr/lib/libx.so.1.1\n"),
]


def image(folder: Path, *later: list[Member]) -> tuple[Image, Image]:
    """A derived image, and its worker image of one layer."""
    path = write(folder / "image.tar", [layer(BASE), *(layer(each) for each in later)])
    found = archive.load(path, folder)
    return found, replace(found, layers=found.layers[:1])


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([file("usr/bin/tool", "x", 0o755)], "/usr/bin/tool: its contents differ"),
        ([file("usr/bin/tool", "tool")], "/usr/bin/tool: a file 0644 0:0; the worker image has"),
        ([owned(file("usr/bin/tool", "tool", 0o755), 7)], "/usr/bin/tool: a file 0755 7:0"),
        ([other("link", "usr/bin/tool", "/opt/x")], "/usr/bin/tool: a link to /opt/x"),
        ([other("folder", "usr/bin", mode=0o777)], "/usr/bin: a folder 0777 0:0"),
        ([other("folder", "./", mode=0o777)], "/: a folder 0777 0:0; the worker image has"),
        ([file("usr/bin", "x")], "/usr/bin: a file 0644 0:0; the worker image has a folder"),
        ([file("usr/bin/.wh.tool")], "/usr/bin/tool: removes 1 of"),
        ([file("usr/.wh.bin")], "/usr/bin: removes 2 of"),
        ([file("usr/bin/.wh..wh..opq")], "/usr/bin: removes 1 of"),
        ([file(".wh..wh..opq")], "/: removes 5 of"),
        ([file("var/.wh.lib"), file("usr/bin/.wh.tool")], "/usr/bin/tool: removes 1 of"),
        ([other("link", "lib", "/opt")], "/lib: a link to /opt; the worker image has"),
        ([file("lib/note")], "/lib/note: is below /lib, which is not a folder"),
        ([file("usr/bin/tool/x")], "/usr/bin/tool/x: is below /usr/bin/tool"),
        ([other("link", "opt/a", "/usr/bin"), file("opt/a/b")], "/opt/a/b: is below /opt/a"),
        ([file("opt/a/b"), other("link", "opt/a", "/usr/bin")], "/opt/a/b: is below /opt/a"),
        ([other("hardlink", "opt/a", "usr/bin/tool")], "/opt/a: a hard link to /usr/bin/tool"),
        (
            [other("hardlink", "opt/a", "opt/b"), file("opt/b", "x")],
            "/opt/a: a hard link to /opt/b, which is not before it",
        ),
        (
            [
                file("usr/bin/tool", "tool", 0o755),
                other("hardlink", "opt/a", "usr/bin/tool", 0o777),
            ],
            "/opt/a: a hard link that changes the mode",
        ),
        ([file("etc/passwd", "x", 0o666)], "/etc/passwd: 0666 0:0, want owner 0 and no g+w or o+w"),
        ([other("link", "etc/passwd", "/opt/x")], "/etc/passwd: a link to /opt/x"),
        ([file("usr/lib/.wh.libx.so.1")], "/usr/lib/libx.so.1: removes 1 of"),
    ],
)
def test_change_of_the_worker_image_is_found(
    members: list[Member], fault: str, tmp_path: Path
) -> None:
    found = [*changes.changes(*image(tmp_path, members), Updates())]
    assert [str(each)[: len(fault)] for each in found] == [fault]
    assert found[0].what.endswith("; layer 2, made by: an unrecorded step")


@pytest.mark.parametrize("after", [other("folder", "opt/a"), file("opt/.wh.a")])
def test_file_before_what_removes_a_link_above_it_is_found(after: Member, tmp_path: Path) -> None:
    """Engines that unpack in order write through the link of the earlier layer."""
    layers = [other("link", "opt/a", "/usr/bin")], [file("opt/a/tool", "x"), after]
    found = [*changes.changes(*image(tmp_path, *layers), Updates())]
    assert [each.path for each in found] == ["/opt/a/tool"]


@pytest.mark.parametrize(
    "layers",
    [
        [
            [
                other("folder", "./"),
                file("usr/bin/other", "x"),
                file("opt/x"),
                other("folder", "usr/bin"),
            ]
        ],
        [[file("usr/bin/tool", "tool", 0o755), other("hardlink", "opt/a", "usr/bin/tool", 0o755)]],
        [[file("etc/passwd", "more"), file("etc/passwd-", "root"), file("etc/ld.so.cache")]],
        [[file("var/lib/dpkg/status", "x"), file(f"{STATUS}/libx", "x"), file("etc/.wh.subuid")]],
        [[file("opt/x/y")], [file("opt/.wh.x")], [file("opt/x/.wh..wh..opq")]],
        [[other("link", "opt/a", "/usr")], [other("folder", "opt/a"), file("opt/a/b")]],
        [[other("link", "opt/a", "/usr")], [file("opt/.wh.a")], [file("opt/a/b")]],
    ],
)
def test_additions_and_account_files_are_not_changes(
    layers: list[list[Member]], tmp_path: Path
) -> None:
    assert [*changes.changes(*image(tmp_path, *layers), Updates())] == []


def test_layers_that_remove_all_paths_are_compared_in_linear_time(tmp_path: Path) -> None:
    def made(count: int) -> tuple[Image, Image]:
        base = layer([file(f"usr/{number}/{number}") for number in range(count)])
        removed = layer([file(f"usr/{number}/.wh.{number}") for number in range(count)])
        found = archive.load(write(tmp_path / f"{count}.tar", [base, removed, removed]), tmp_path)
        assert found.merged == {}
        return found, replace(found, layers=found.layers[:1])

    images = {count: made(count) for count in (500, 2000)}

    def compare(count: int) -> None:
        assert len([*changes.changes(*images[count], Updates())]) == 2 * count

    assert growth(compare, 500, LINEAR) < LINEAR


def deb(folder: Path, version: str) -> Path:
    """A package of one library and the link to it."""
    root = folder / "package"
    (root / "usr/lib").mkdir(parents=True)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        f"Package: libx\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example.org>\n"
        "Description: a\n"
    )
    (root / "usr/lib/libx.so.1.2").write_text("two")
    (root / "usr/lib/libx.so.1").symlink_to("libx.so.1.2")
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(folder / "libx.deb")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "libx.deb"


RULES = Rules(packages={}, dropped={}, kept={}, links={}, files={}, folders={})
RECORD = "Package: libx\nStatus: install ok installed\nVersion: {}\n"


@pytest.mark.parametrize(
    ("version", "content", "faults"),
    [
        ("1.2-1", "two", []),
        ("1.2-1", "evil", ["/usr/lib/libx.so.1.2"]),
        ("1.1-1", "two", ["/usr/lib/libx.so.1", "/usr/lib/libx.so.1.1"]),
        ("1.0-9", "two", ["/usr/lib/libx.so.1", "/usr/lib/libx.so.1.1"]),
    ],
)
def test_files_of_a_newer_package_may_be_replaced(
    version: str, content: str, faults: list[str], tmp_path: Path
) -> None:
    """The link is replaced, the old file is removed, and the new file is Debian's."""
    members = [
        file("usr/lib/libx.so.1.2", content),
        other("link", "usr/lib/libx.so.1", "libx.so.1.2"),
        file("usr/lib/.wh.libx.so.1.1"),
        file("var/lib/dpkg/status", RECORD.format(version)),
    ]
    found, worker = image(tmp_path, members)
    newer = updates.newer(found, worker)
    files = {name: deb(tmp_path, version) for name in newer}
    held = updates.updates(worker, files, RULES)
    assert sorted(each.path for each in changes.changes(found, worker, held)) == faults
    kept = {path for path in held.held(found) if path.startswith("/usr/lib/libx.so.1.")}
    assert kept == (set() if faults else {"/usr/lib/libx.so.1.2"})


def test_packages_of_both_kinds_of_records_are_newer(tmp_path: Path) -> None:
    record = file(f"{STATUS}/libx", "Package: libx\nVersion: 1.10-1\n")
    text = "Package: new\nStatus: install ok installed\nVersion: 1\n\n"
    removed = "Package: libx\nStatus: deinstall ok config-files\nVersion: 2\n"
    found, worker = image(tmp_path, [record, file("var/lib/dpkg/status", text + removed)])
    assert updates.newer(found, worker) == {"libx": Installed("1.10-1", (), ())}
