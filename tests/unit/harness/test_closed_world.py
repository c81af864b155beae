"""The closed world on small images: owners of paths, and findings for all other paths."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import members
from tests.support.archives import layer, write
from tests.support.members import Member, file, other, owned
from worker_images.harness import closed_world, dpkg
from worker_images.harness.closed_world import Declared
from worker_images.harness.dpkg import Installed
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image, ImageError, plain
from worker_images.model.rootfs import Rules

DECLARED = {
    "/usr/x": Declared(
        "hello", plain("/usr/x", "file", "0644"), hashlib.sha256(b"hello").hexdigest()
    ),
    "/usr/doc": Declared(
        "hello", plain("/usr/doc", "file", "0644"), hashlib.sha256(b"text").hexdigest()
    ),
    "/usr/y": Declared("hello", plain("/usr/y", "link", target="x")),
}


def rules(*dropped: str) -> Rules:
    reasons = dict.fromkeys(dropped, "not needed")
    excluded, kept = {"gone": "not needed"}, {"/usr/kept": "needed"}
    return Rules(packages=excluded, dropped=reasons, kept=kept, links={}, files={}, folders={})


def timed(member: Member) -> Member:
    """A member with the pinned time."""
    member[0].mtime = 5
    return member


def image(folder: Path, *members: tuple[str, str, str]) -> Image:
    return archive.load(write(folder / "image.tar", [layer(*members)]), folder)


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ([("file", "usr/x", "hello"), ("link", "usr/y", "x")], ""),
        (
            [("file", "usr/x", "hellO"), ("link", "usr/y", "x")],
            "/usr/x: its contents are not those of hello; layer 1, made by: ",
        ),
        (
            [("file", "usr/x", "hello"), ("link", "usr/y", "z")],
            "/usr/y: a link to z; hello declares a link to x;",
        ),
        ([("file", "usr/x", "hello")], "/usr/y: missing: declared by hello, in no layer"),
        (
            [("file", "usr/x", "hello"), ("file", "usr/y", "x")],
            "/usr/y: a file 0644 0:0; hello declares a link to x;",
        ),
        (
            [("file", "usr/x", "hello"), ("link", "usr/y", "x"), ("file", "opt/z", "")],
            "/opt/z: a file that no package and no component",
        ),
        (
            [("file", "usr/x", "hello"), ("link", "usr/y", "x"), ("file", ".wh.etc", "")],
            "/.wh.etc: a whiteout that no package",
        ),
        (
            [("file", "usr/x", "hello"), ("link", "usr/y", "x"), ("hardlink", "usr/z", "usr/x")],
            "/usr/z: a hardlink that no package",
        ),
        (
            [("file", "usr/x", "hello"), ("link", "usr/y", "x"), ("device", "dev/null", "")],
            "/dev/null: a device that no package",
        ),
    ],
)
def test_finding_names_path_and_fault(
    members: list[tuple[str, str, str]], finding: str, tmp_path: Path
) -> None:
    found = closed_world.findings(image(tmp_path, *members), DECLARED, rules("/usr/doc"))
    assert [line[: len(finding)] for line in found] == ([finding] if finding else [])


def test_file_capability_is_a_finding(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("usr/x")
        info.size, info.pax_headers = 5, {"SCHILY.xattr.security.capability": "x"}
        tar.addfile(info, io.BytesIO(b"hello"))
    found = closed_world.findings(
        archive.load(write(tmp_path / "image.tar", [buffer.getvalue()]), tmp_path),
        DECLARED,
        rules("/usr/doc", "/usr/y"),
    )
    assert [line.split(";")[0] for line in found] == [
        "/usr/x: has the attributes security.capability"
    ]


@pytest.mark.parametrize(
    ("root", "fault"),
    [
        (timed(other("folder", "./")), ""),
        (timed(other("folder", "./", mode=0o777)), "/: a folder 0777 0:0, want a folder 0755 0:0"),
        (timed(owned(other("folder", "./"), 7)), "/: a folder 0755 7:0, want a folder 0755 0:0"),
        (other("folder", "./"), "/: time 0, want [5]"),
    ],
)
def test_root_folder_is_like_other_folders(root: Member, fault: str, tmp_path: Path) -> None:
    inside = [timed(each) for each in (other("folder", "usr"), file("usr/x", "hello"))]
    path = write(tmp_path / "image.tar", [members.layer([root, *inside])])
    read = archive.load(path, tmp_path)
    found = closed_world.findings(read, {"/usr/x": DECLARED["/usr/x"]}, rules())
    found += closed_world.other_times(read, {}, 5)
    assert [line[: len(fault)] for line in found] == ([fault] if fault else [])


def test_package_records_are_read_with_their_dependencies(tmp_path: Path) -> None:
    text = (
        "Package: a\nVersion: 1:2-3\nPre-Depends: bb (>= 1) | cc:any\nDepends: dd,\n ee"
        " [amd64]\nProvides: ff (= 1)\n"
    )
    found = dpkg.installed(
        image(
            tmp_path,
            ("file", "var/lib/dpkg/status.d/aa", text),
            ("file", "var/lib/dpkg/status.d/aa.md5sums", ""),
        )
    )
    assert found == {"aa": Installed("1:2-3", (("dd",), ("ee",), ("bb", "cc")), ("ff",))}


@pytest.fixture
def deb(tmp_path: Path) -> Callable[[int], Path]:
    """A real .deb of one file with a mode."""

    def make(mode: int) -> Path:
        folder = tmp_path / "package"
        (folder / "DEBIAN").mkdir(parents=True)
        (folder / "DEBIAN/control").write_text(
            "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: nobody"
            " <n@example.org>\nPre-Depends: gone\nDepends: b, gone (>= 1) | c\nDescription: a\n"
        )
        (folder / "x").write_text("hello")
        (folder / "x").chmod(mode)
        command = [
            "dpkg-deb",
            "--root-owner-group",
            "--build",
            str(folder),
            str(tmp_path / "a.deb"),
        ]
        subprocess.run(command, check=True, capture_output=True)
        return tmp_path / "a.deb"

    return make


def test_package_declares_its_files_and_records(deb: Callable[[int], Path]) -> None:
    """The setuid bit of its file is removed: worker images contain no setuid file."""
    found = closed_world.declared_by_packages({"a": deb(0o4755)}, rules())
    x = found["/x"]
    assert x.times == {x.entry.time}
    assert replace(x, times=frozenset()) == Declared(
        "a", x.entry, hashlib.sha256(b"hello").hexdigest()
    )
    assert found["/x"].entry.mode == 0o755
    assert found["/var/lib/dpkg/status.d/a.md5sums"].sha256 == hashlib.sha256(b"").hexdigest()
    record = found["/var/lib/dpkg/status.d/a"]
    reduced = (
        b"Package: a\nVersion: 1\nArchitecture: all\nMaintainer: nobody"
        b" <n@example.org>\nDepends: b\nDescription: a\n"
    )
    assert record.reduced == hashlib.sha256(reduced).hexdigest() != record.sha256


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("-oAptCli::Hooks::Install::", "1"),
        ("a b", "1"),
        ("hello", "id > /x; true"),
        ("hello", "-o1"),
        ("Hello", "1"),
    ],
)
def test_invalid_package_record_is_rejected(name: str, version: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a valid record of a Debian package"):
        dpkg.installed(
            image(
                tmp_path,
                ("file", f"var/lib/dpkg/status.d/{name}", f"Package: hello\nVersion: {version}\n"),
            )
        )


@pytest.mark.parametrize(("content", "findings"), [("complete", 0), ("reduced", 0), ("other", 1)])
def test_package_record_may_be_complete_or_reduced(
    content: str, findings: int, tmp_path: Path
) -> None:
    digests = [hashlib.sha256(each).hexdigest() for each in (b"complete", b"reduced")]
    declared = {"/usr/x": Declared("a", plain("/usr/x", "file", "0644"), digests[0], digests[1])}
    found = image(tmp_path, ("file", "usr/x", content))
    assert len(closed_world.findings(found, declared, rules())) == findings


def test_dropped_files_in_a_layer_are_leftovers(tmp_path: Path) -> None:
    found = image(
        tmp_path,
        ("folder", "usr/doc", ""),
        ("file", "usr/doc/manual", "text"),
        ("file", "usr/doc/copyright", "free"),
        ("link", "usr/x", "y"),
        ("file", "usr/kept", "x"),
        ("file", "usr/y", "x"),
    )
    dropped = rules("/usr/doc*", "/usr/x", "/usr/k*")
    assert closed_world.leftovers(found, dropped) == ["/usr/doc/manual", "/usr/x"]


def test_absent_file_that_the_rules_keep_is_a_finding(tmp_path: Path) -> None:
    declared = {"/usr/kept": Declared("hello", plain("/usr/kept", "file", "0644"))}
    found = closed_world.findings(
        image(tmp_path, ("folder", "usr", "")), declared, rules("/usr/k*")
    )
    assert "/usr/kept: missing: declared by hello, in no layer" in found


def test_absent_licence_is_a_finding(tmp_path: Path) -> None:
    declared = {
        "/usr/share/doc/hello/copyright": Declared(
            "hello", plain("/usr/share/doc/hello/copyright", "file", "0644")
        )
    }
    found = closed_world.findings(
        image(tmp_path, ("folder", "usr", "")), declared, rules("/usr/share/doc/*")
    )
    assert "/usr/share/doc/hello/copyright: missing: declared by hello, in no layer" in found
