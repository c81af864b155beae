"""Root filesystem tars, assembled from .deb files that dpkg-deb builds here."""

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from worker_images.build import rootfs
from worker_images.errors import DocumentError, EngineError
from worker_images.files import ROOT
from worker_images.model.rootfs import PLACE, load

EPOCH = 1_700_000_000
RULES = load(ROOT)
BASE_FILES = {
    "usr/share/base-passwd/passwd.master": (
        "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/x:/usr/sbin/nologin\n"
    ),
    "usr/share/base-passwd/group.master": "root:*:0:\n",
    "usr/share/libc-bin/nsswitch.conf": "passwd: files\n",
    "usr/share/ca-certificates/mozilla/B.crt": "-----B-----\n",
    "usr/share/ca-certificates/mozilla/A.crt": "-----A-----\n",
}


def deb(
    folder: Path, name: str, files: dict[str, str], mode: int = 0o644, control: str = ""
) -> Path:
    """Build a real .deb with these files."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x"
        f" <x@example.org>\n{control}Description: x\n"
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
    """Return every entry of a tar with its content, in order."""
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


def test_base_contains_the_files_that_maintainer_scripts_generate(tmp_path: Path) -> None:
    package = deb(tmp_path, "everything", BASE_FILES)
    rootfs.assemble({"everything": package}, tmp_path / "base.tar", EPOCH, RULES, base=True)
    found = read(tmp_path / "base.tar")
    assert found["etc/passwd"][1].startswith(b"root:*:0:0:root:/root:/bin/sh\n")
    assert found["etc/shadow"][1] == b"root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"
    assert (found["etc/shadow"][0].mode, found["etc/shadow"][0].gid) == (0o640, 42)
    assert found["etc/ssl/certs/ca-certificates.crt"][1] == b"-----A-----\n-----B-----\n"
    assert found["usr/sbin/iptables"][0].linkname == "xtables-nft-multi"
    assert found["run/gvisor"][0].isdir()
    assert found["var/lib/dpkg/status.d/everything"][1].startswith(b"Package: everything\n")
    assert b"passwd.master" in found["var/lib/dpkg/status.d/everything.md5sums"][1]


def test_tar_is_reproducible(tmp_path: Path) -> None:
    package = deb(tmp_path, "one", {"usr/bin/one": "x"})
    for name in ("a.tar", "b.tar"):
        rootfs.assemble({"one": package}, tmp_path / name, EPOCH, RULES, base=False)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert all(info.mtime <= EPOCH for info, _ in read(tmp_path / "a.tar").values())


def test_parent_folders_precede_their_contents(tmp_path: Path) -> None:
    package = deb(
        tmp_path,
        "one",
        {
            "usr/share/doc/one/copyright": "free",
            "usr/share/doc/one/changelog": "x",
            "usr/share/man/man1/one.1": "x",
        },
    )
    rootfs.assemble({"one": package}, tmp_path / "a.tar", EPOCH, RULES, base=False)
    names = list(read(tmp_path / "a.tar"))
    for name in names:
        assert all(str(parent) in names[: names.index(name)] for parent in Path(name).parents[:-1])


def test_dropped_paths_are_omitted_except_kept_ones(tmp_path: Path) -> None:
    files = {
        "usr/share/doc/one/copyright": "free",
        "usr/share/doc/one/changelog": "x",
        "usr/share/man/man1/one.1": "x",
        "usr/bin/iconv": "x",
        "usr/bin/one": "x",
    }
    package = deb(tmp_path, "one", files)
    rootfs.assemble({"one": package}, tmp_path / "a.tar", EPOCH, RULES, base=False)
    kept = {name for name, (info, _) in read(tmp_path / "a.tar").items() if info.isfile()}
    assert kept & set(files) == {"usr/share/doc/one/copyright", "usr/bin/one"}
    nothing_dropped = RULES.model_copy(update={"dropped": {}})
    rootfs.assemble({"one": package}, tmp_path / "b.tar", EPOCH, nothing_dropped, base=False)
    assert set(files) <= set(read(tmp_path / "b.tar"))


def test_omitted_packages_are_not_unpacked_and_not_in_depends(tmp_path: Path) -> None:
    rules = RULES.model_copy(update={"packages": {"gone": "not needed"}})
    needs = "Pre-Depends: gone:any\nDepends: two (>= 1), gone (>= 0.5) | three, gone-not\n"
    packages = {
        "one": deb(tmp_path, "one", {"usr/bin/one": "x"}, control=needs),
        "gone": deb(tmp_path, "gone", {"usr/bin/gone": "x"}),
    }
    rootfs.assemble(packages, tmp_path / "a.tar", EPOCH, rules, base=False)
    found = read(tmp_path / "a.tar")
    assert {"usr/bin/one", "var/lib/dpkg/status.d/one"} <= set(found)
    assert not [path for path in found if path.endswith("/gone")]
    record = found["var/lib/dpkg/status.d/one"][1].decode()
    assert re.findall(r"^(?:Pre-)?Depends: .*", record, re.MULTILINE) == [
        "Depends: two (>= 1), gone-not"
    ]


def test_generated_file_without_parts_is_an_error(tmp_path: Path) -> None:
    files = {path: text for path, text in BASE_FILES.items() if not path.endswith(".crt")}
    package = deb(tmp_path, "one", files)
    with pytest.raises(EngineError, match="no package contains /usr/share/ca-certificates/mozilla"):
        rootfs.assemble({"one": package}, tmp_path / "a.tar", EPOCH, RULES, base=True)


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("dropped:\n", 'dropped:\n  "usr/x": "x"\n', ": dropped.usr/x: 'usr/x' is not allowed"),
        ("dropped:\n", 'dropped:\n  "/usr/x/": "x"\n', "'/usr/x/' is not allowed"),
        ("dropped:\n", 'dropped:\n  "/usr/x": ""\n', "dropped./usr/x: '' is not allowed"),
        ("kept:\n", "keeps:\n", "keeps: unknown key"),
        ("kept:\n", "dropped:\n", "dropped: written twice"),
        ('copyright": "licenses', 'copyright": 7 # "licences', "'7' is not quoted"),
    ],
)
def test_invalid_rules_are_rejected_with_line_and_column(
    line: str, other: str, message: str, tmp_path: Path
) -> None:
    text = (ROOT / PLACE).read_text()
    assert text.count(line) == 1
    (tmp_path / PLACE).parent.mkdir(parents=True)
    (tmp_path / PLACE).write_text(text.replace(line, other))
    with pytest.raises(DocumentError) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert re.match(rf"{PLACE}:[1-9][0-9]*:[1-9]", str(caught.value))


def test_setuid_bit_is_removed(tmp_path: Path) -> None:
    rootfs.assemble(
        {"one": deb(tmp_path, "one", {"usr/bin/su": "x"}, mode=0o4755)},
        tmp_path / "a.tar",
        EPOCH,
        RULES,
        base=False,
    )
    assert read(tmp_path / "a.tar")["usr/bin/su"][0].mode == 0o755


def test_file_in_two_packages_is_an_error(tmp_path: Path) -> None:
    packages = {name: deb(tmp_path, name, {"usr/bin/same": name}) for name in ("one", "two")}
    with pytest.raises(EngineError, match="usr/bin/same is in both one and two"):
        rootfs.assemble(packages, tmp_path / "a.tar", EPOCH, RULES, base=False)


@pytest.mark.parametrize("path", ["lib/x", "bin/x", "root/x", "srv/x"])
def test_path_outside_merged_usr_is_rejected(path: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"one contains {path.split('/', maxsplit=1)[0]}"):
        rootfs.assemble(
            {"one": deb(tmp_path, "one", {path: "x"})}, tmp_path / "a.tar", EPOCH, RULES, base=False
        )


@pytest.mark.parametrize(
    ("name", "kind", "target", "message"),
    [
        ("usr/../../etc/shadow", tarfile.REGTYPE, "", "leads outside"),
        ("../x", tarfile.REGTYPE, "", "leads outside"),
        ("/etc/shadow", tarfile.REGTYPE, "", "leads outside"),
        ("usr/bin/x", tarfile.LNKTYPE, "../../etc/shadow", "leads outside"),
        ("usr/bin/x", tarfile.LNKTYPE, "/etc/shadow", "leads outside"),
        ("usr/dev/x", tarfile.CHRTYPE, "", "not a file, folder or link"),
        ("usr/dev/x", tarfile.BLKTYPE, "", "not a file, folder or link"),
        ("usr/run/x", tarfile.FIFOTYPE, "", "not a file, folder or link"),
    ],
)
def test_unsafe_member_is_rejected(
    name: str, kind: bytes, target: str, message: str, tmp_path: Path
) -> None:
    """The package is written by hand, because dpkg-deb does not create such members."""
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
    (tmp_path / "unsafe.deb").write_bytes(b"!<arch>\n" + text)
    with pytest.raises(EngineError, match=message):
        rootfs.assemble(
            {"unsafe": tmp_path / "unsafe.deb"}, tmp_path / "a.tar", EPOCH, RULES, base=False
        )
