"""Root filesystem tars from .deb files: no root, no chroot, no maintainer script, the same bytes each time."""

import fnmatch
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from imagebuild.debian import members
from imagebuild.errors import EngineError

# Read by people and translators only; copyright files stay, licences ask for them.
UNWANTED = (
    "usr/share/man/*",
    "usr/share/locale/*",
    "usr/share/info/*",
    "usr/share/bash-completion/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/share/doc/*",
    # For compilers of BPF programs; no image holds a compiler.
    "usr/include/iproute2*",
    # A Go that only fetches the pinned toolchain needs neither its own library nor its compilers.
    "usr/share/go-*/src/*",
    "usr/share/go-*/test/*",
    "usr/lib/go-*/pkg/tool/*",
)
WANTED = ("usr/share/doc/*/copyright",)
# No package of a merged-/usr release writes elsewhere but the one that makes the links.
ROOTS = ("usr", "etc", "var", "opt")

LINKS = {
    f"usr/sbin/{name}": "xtables-nft-multi"
    for family in ("iptables", "ip6tables")
    for name in (family, f"{family}-save", f"{family}-restore")
}
COPIES = {
    "etc/passwd": ("usr/share/base-passwd/passwd.master", 0o644, 0),
    "etc/group": ("usr/share/base-passwd/group.master", 0o644, 0),
    "etc/nsswitch.conf": ("usr/share/libc-bin/nsswitch.conf", 0o644, 0),
}
CERTIFICATES = "usr/share/ca-certificates/mozilla/*.crt"
SHADOW_GROUP = 42


@dataclass
class _Writer:
    """A tar under way: which paths it holds, and the few contents that generated files need."""

    tar: tarfile.TarFile
    epoch: int
    paths: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(self, info: tarfile.TarInfo, owner: str, data: IO[bytes] | None = None) -> None:
        """Write one entry; a folder may come from many packages, a file from one only."""
        if info.name in self.paths:
            if info.isdir():
                return
            raise EngineError(f"assembling: {info.name} is in both {self.paths[info.name]} and {owner}; report this pair of packages")
        self._parents(info.name)
        self.paths[info.name] = owner
        info.uname = info.gname = ""
        info.mtime = min(int(info.mtime), self.epoch)
        self.tar.addfile(info, data)

    def file(self, name: str, content: bytes, mode: int = 0o644, group: int = 0) -> None:
        """Write a file of our own."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.gid, info.mtime = len(content), mode, group, self.epoch
        self.add(info, "generated", io.BytesIO(content))

    def folder(self, name: str) -> None:
        """Write a folder of our own."""
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, self.epoch
        self.add(info, "generated")

    def link(self, name: str, target: str) -> None:
        """Write a symbolic link of our own."""
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode, info.mtime = tarfile.SYMTYPE, target, 0o777, self.epoch
        self.add(info, "generated")

    def _parents(self, name: str) -> None:
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in self.paths:
                self.folder(str(parent))


def assemble(packages: Mapping[str, Path], destination: Path, epoch: int, *, base: bool) -> None:
    """Merge .deb files (name to path) into one tar; a base also gets what its packages' scripts would have written."""
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as tar:
        writer = _Writer(tar, epoch)
        for name, path in sorted(packages.items()):
            _add_package(writer, name, path)
        if base:
            _finish(writer)


def _add_package(writer: _Writer, name: str, path: Path) -> None:
    with members(path, "--fsys-tarfile") as stream:
        for info in stream:
            info.name = re.sub(r"^\./?", "", info.name).rstrip("/")
            if info.islnk():
                info.linkname = info.linkname.removeprefix("./")
            if not info.name or _unwanted(info.name):
                continue
            _merged_usr(name, info)
            info.mode &= 0o1777 if info.isdir() else 0o777
            content: IO[bytes] | None = stream.extractfile(info) if info.isfile() else None
            if content and _needed(info.name):
                writer.contents[info.name] = content.read()
                content = io.BytesIO(writer.contents[info.name])
            writer.add(info, name, content)
    with members(path, "--ctrl-tarfile") as stream:
        control = {info.name.removeprefix("./"): (stream.extractfile(info) or io.BytesIO()).read() for info in stream if info.isfile()}
    writer.file(f"var/lib/dpkg/status.d/{name}", control["control"])
    writer.file(f"var/lib/dpkg/status.d/{name}.md5sums", control.get("md5sums", b""))


def _unwanted(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in UNWANTED) and not any(
        fnmatch.fnmatchcase(name, pattern) for pattern in WANTED
    )


def _needed(name: str) -> bool:
    return fnmatch.fnmatchcase(name, CERTIFICATES) or name in {source for source, _, _ in COPIES.values()}


def _merged_usr(package: str, info: tarfile.TarInfo) -> None:
    if package != "base-files" and info.name.split("/")[0] not in ROOTS:
        raise EngineError(f"assembling: {package} holds {info.name}, outside a merged /usr; the suite is too old")


def _finish(writer: _Writer) -> None:
    for name, (source, mode, group) in COPIES.items():
        # Debian's root account names bash, which is not here.
        writer.file(name, writer.contents[source].replace(b":/bin/bash\n", b":/bin/sh\n"), mode, group)
    writer.file("etc/shadow", _shadow(writer.contents["usr/share/base-passwd/passwd.master"]), 0o640, SHADOW_GROUP)
    certificates = [content for name, content in sorted(writer.contents.items()) if fnmatch.fnmatchcase(name, CERTIFICATES)]
    writer.file("etc/ssl/certs/ca-certificates.crt", b"".join(certificates))
    for name, target in LINKS.items():
        writer.link(name, target)
    writer.folder("run/gvisor")


def _shadow(passwd: bytes) -> bytes:
    """No account has a password."""
    names: Sequence[str] = [line.split(":")[0] for line in passwd.decode().splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names).encode()
