"""Root filesystem tars from .deb files: no root, no chroot, no maintainer script, the same bytes
each time.
"""

import fnmatch
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from worker_images.errors import EngineError
from worker_images.fetch.apt import members

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
)
WANTED = ("usr/share/doc/*/copyright",)
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
SOURCES = {source for source, _, _ in COPIES.values()}
CERTIFICATES = ("usr/share/ca-certificates/mozilla/*.crt",)
SHADOW_GROUP = 42


def digest() -> str:
    """The text of this program: a change of it is a change of every tar."""
    return Path(__file__).read_text()


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
            raise EngineError(
                f"assembling: {info.name} is in both {self.paths[info.name]} and {owner}; report"
                " this pair of packages"
            )
        for parent in map(str, reversed(Path(info.name).parents[:-1])):
            if parent not in self.paths:
                self.folder(parent)
        self.paths[info.name] = owner
        info.uname = info.gname = ""
        info.mtime = min(int(info.mtime), self.epoch)
        self.tar.addfile(info, data)

    def file(self, name: str, content: bytes, mode: int = 0o644, group: int = 0) -> None:
        """Write a file of our own."""
        self._own(name, tarfile.REGTYPE, mode, content, group=group)

    def folder(self, name: str) -> None:
        """Write a folder of our own."""
        self._own(name, tarfile.DIRTYPE, 0o755)

    def link(self, name: str, target: str) -> None:
        """Write a symbolic link of our own."""
        self._own(name, tarfile.SYMTYPE, 0o777, target=target)

    def _own(
        self,
        name: str,
        kind: bytes,
        mode: int,
        content: bytes = b"",
        *,
        group: int = 0,
        target: str = "",
    ) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.gid, info.linkname = kind, mode, group, target
        info.size, info.mtime = len(content), self.epoch
        self.add(info, "generated", io.BytesIO(content))


def assemble(packages: Mapping[str, Path], destination: Path, epoch: int, *, base: bool) -> None:
    """Merge .deb files (name to path) into one tar.

    A base also gets what its packages' scripts would have written.
    """
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        writer = _Writer(tar, epoch)
        for name, path in sorted(packages.items()):
            _add_package(writer, name, path)
        if base:
            _finish(writer)


def _add_package(writer: _Writer, name: str, path: Path) -> None:
    with members(path, "--fsys-tarfile") as stream:
        for info in stream:
            if fault := _odd(info):
                raise EngineError(
                    f"assembling: {name} holds {info.name}, {fault}; report this package"
                )
            info.name = re.sub(r"^\./?", "", info.name).rstrip("/")
            if info.islnk():
                info.linkname = info.linkname.removeprefix("./")
            if not info.name or (_matches(info.name, UNWANTED) and not _matches(info.name, WANTED)):
                continue
            # No package of a merged-/usr release writes elsewhere but the one that makes the links.
            if name != "base-files" and info.name.split("/")[0] not in ROOTS:
                raise EngineError(
                    f"assembling: {name} holds {info.name}, outside a merged /usr; the suite is"
                    " too old"
                )
            info.mode &= 0o1777 if info.isdir() else 0o777
            content: IO[bytes] | None = stream.extractfile(info) if info.isfile() else None
            if content and (_matches(info.name, CERTIFICATES) or info.name in SOURCES):
                writer.contents[info.name] = content.read()
                content = io.BytesIO(writer.contents[info.name])
            writer.add(info, name, content)
    with members(path, "--ctrl-tarfile") as stream:
        control = {
            info.name.removeprefix("./"): (stream.extractfile(info) or io.BytesIO()).read()
            for info in stream
            if info.isfile()
        }
    writer.file(f"var/lib/dpkg/status.d/{name}", control["control"])
    writer.file(f"var/lib/dpkg/status.d/{name}.md5sums", control.get("md5sums", b""))


def _odd(info: tarfile.TarInfo) -> str:
    """What no package may hold, whatever its digest; empty for a plain member."""
    if not (info.isfile() or info.isdir() or info.issym() or info.islnk()):
        return "which is no file, folder or link"
    names = [info.name, *([info.linkname] if info.islnk() else [])]
    return (
        "which leads outside"
        if any(".." in name.split("/") or name.startswith("/") for name in names)
        else ""
    )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _finish(writer: _Writer) -> None:
    for name, (source, mode, group) in COPIES.items():
        # Debian's root account names bash, which is not here.
        writer.file(
            name, writer.contents[source].replace(b":/bin/bash\n", b":/bin/sh\n"), mode, group
        )
    writer.file(
        "etc/shadow",
        _shadow(writer.contents["usr/share/base-passwd/passwd.master"]),
        0o640,
        SHADOW_GROUP,
    )
    certificates = [
        content for name, content in sorted(writer.contents.items()) if _matches(name, CERTIFICATES)
    ]
    writer.file("etc/ssl/certs/ca-certificates.crt", b"".join(certificates))
    for name, target in LINKS.items():
        writer.link(name, target)
    writer.folder("run/gvisor")


def _shadow(passwd: bytes) -> bytes:
    """No account has a password."""
    names: Sequence[str] = [line.split(":")[0] for line in passwd.decode().splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names).encode()
