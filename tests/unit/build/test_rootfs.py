"""Root filesystem tars, assembled from .debs that dpkg-deb made here."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from worker_images.build import rootfs
from worker_images.errors import EngineError

EPOCH = 1_700_000_000
BASE_FILES = {
    "usr/share/base-passwd/passwd.master": (
        "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/x:/usr/sbin/nologin\n"
    ),
    "usr/share/base-passwd/group.master": "root:*:0:\n",
    "usr/share/libc-bin/nsswitch.conf": "passwd: files\n",
    "usr/share/ca-certificates/mozilla/B.crt": "-----B-----\n",
    "usr/share/ca-certificates/mozilla/A.crt": "-----A-----\n",
}


def deb(folder: Path, name: str, files: dict[str, str], mode: int = 0o644) -> Path:
    """A real .deb with these files."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x"
        " <x@example.org>\nDescription: x\n"
    )
    (tree / "DEBIAN" / "md5sums").write_text("".join(f"0  {path}\n" for path in files))
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
        (tree / path).chmod(mode)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(folder / f"{name}.deb")],
        check=True,
        capture_output=True,
    )
    return folder / f"{name}.deb"


def read(path: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Every entry of a tar, in order, with its content."""
    with tarfile.open(path) as tar:
        return {
            info.name: (
                info,
                (
                    (stream.read() if (stream := tar.extractfile(info)) else b"")
                    if info.isfile()
                    else b""
                ),
            )
            for info in tar
        }


def test_base_gets_what_scripts_would_have_written(tmp_path: Path) -> None:
    package = deb(tmp_path, "everything", BASE_FILES)
    rootfs.assemble({"everything": package}, tmp_path / "base.tar", EPOCH, base=True)
    found = read(tmp_path / "base.tar")
    assert found["etc/passwd"][1].startswith(b"root:*:0:0:root:/root:/bin/sh\n")
    assert found["etc/shadow"][1] == b"root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"
    assert (found["etc/shadow"][0].mode, found["etc/shadow"][0].gid) == (0o640, 42)
    assert found["etc/ssl/certs/ca-certificates.crt"][1] == b"-----A-----\n-----B-----\n"
    assert found["usr/sbin/iptables"][0].linkname == "xtables-nft-multi"
    assert found["run/gvisor"][0].isdir()
    assert found["var/lib/dpkg/status.d/everything"][1].startswith(b"Package: everything\n")
    assert b"passwd.master" in found["var/lib/dpkg/status.d/everything.md5sums"][1]


def test_same_bytes_whatever_the_day(tmp_path: Path) -> None:
    package = deb(tmp_path, "one", {"usr/bin/one": "x"})
    for name in ("a.tar", "b.tar"):
        rootfs.assemble({"one": package}, tmp_path / name, EPOCH, base=False)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert all(info.mtime <= EPOCH for info, _ in read(tmp_path / "a.tar").values())


def test_every_parent_is_written_first(tmp_path: Path) -> None:
    package = deb(
        tmp_path,
        "one",
        {
            "usr/share/doc/one/copyright": "free",
            "usr/share/doc/one/changelog": "x",
            "usr/share/man/man1/one.1": "x",
        },
    )
    rootfs.assemble({"one": package}, tmp_path / "a.tar", EPOCH, base=False)
    names = list(read(tmp_path / "a.tar"))
    for name in names:
        assert all(str(parent) in names[: names.index(name)] for parent in Path(name).parents[:-1])


def test_documentation_goes_and_licences_stay(tmp_path: Path) -> None:
    files = {
        "usr/share/doc/one/copyright": "free",
        "usr/share/doc/one/changelog": "x",
        "usr/share/man/man1/one.1": "x",
        "usr/bin/one": "x",
    }
    rootfs.assemble({"one": deb(tmp_path, "one", files)}, tmp_path / "a.tar", EPOCH, base=False)
    kept = {name for name, (info, _) in read(tmp_path / "a.tar").items() if info.isfile()}
    assert kept & set(files) == {"usr/share/doc/one/copyright", "usr/bin/one"}


def test_no_file_keeps_a_setuid_bit(tmp_path: Path) -> None:
    rootfs.assemble(
        {"one": deb(tmp_path, "one", {"usr/bin/su": "x"}, mode=0o4755)},
        tmp_path / "a.tar",
        EPOCH,
        base=False,
    )
    assert read(tmp_path / "a.tar")["usr/bin/su"][0].mode == 0o755


def test_two_owners_of_one_file_are_refused(tmp_path: Path) -> None:
    packages = {name: deb(tmp_path, name, {"usr/bin/same": name}) for name in ("one", "two")}
    with pytest.raises(EngineError, match="usr/bin/same is in both one and two"):
        rootfs.assemble(packages, tmp_path / "a.tar", EPOCH, base=False)


@pytest.mark.parametrize("path", ["lib/x", "bin/x", "root/x", "srv/x"])
def test_a_path_outside_merged_usr_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"one holds {path.split('/', maxsplit=1)[0]}"):
        rootfs.assemble(
            {"one": deb(tmp_path, "one", {path: "x"})}, tmp_path / "a.tar", EPOCH, base=False
        )


@pytest.mark.parametrize(
    ("name", "kind", "target", "told"),
    [
        ("usr/../../etc/shadow", tarfile.REGTYPE, "", "leads outside"),
        ("../x", tarfile.REGTYPE, "", "leads outside"),
        ("/etc/shadow", tarfile.REGTYPE, "", "leads outside"),
        ("usr/bin/x", tarfile.LNKTYPE, "../../etc/shadow", "leads outside"),
        ("usr/bin/x", tarfile.LNKTYPE, "/etc/shadow", "leads outside"),
        ("usr/dev/x", tarfile.CHRTYPE, "", "no file, folder or link"),
        ("usr/dev/x", tarfile.BLKTYPE, "", "no file, folder or link"),
        ("usr/run/x", tarfile.FIFOTYPE, "", "no file, folder or link"),
    ],
)
def test_an_odd_member_is_refused(
    name: str, kind: bytes, target: str, told: str, tmp_path: Path
) -> None:
    """A package that was written by hand: dpkg-deb makes none of these."""
    data, control = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)
    with tarfile.open(fileobj=control, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("./control"))
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": control.getvalue(),
        "data.tar": data.getvalue(),
    }
    header = "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n"
    text = b"".join(
        header.format(file, 0, 0, 0, 100644, len(content)).encode() + content
        for file, content in members.items()
    )
    (tmp_path / "odd.deb").write_bytes(b"!<arch>\n" + text)
    with pytest.raises(EngineError, match=told):
        rootfs.assemble({"odd": tmp_path / "odd.deb"}, tmp_path / "a.tar", EPOCH, base=False)
