"""Assemble root filesystem tars from .deb files.

This needs no root and no chroot, runs no maintainer scripts, and gives the same bytes each time.
"""

import fnmatch
import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from worker_images.errors import EngineError
from worker_images.fetch.apt import members
from worker_images.model.rootfs import PLACE, Rules

ROOTS = ("usr", "etc", "var", "opt")
ACCOUNTS = "/etc/passwd"
SHADOW_GROUP = 42
DEPENDS = re.compile(rb"^(?P<field>(?:Pre-)?Depends: )(?P<needs>.*)\n", re.MULTILINE)


@dataclass
class _Writer:
    """A tar being written, with its paths and the contents that generated files are made from."""

    tar: tarfile.TarFile
    epoch: int
    paths: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(self, info: tarfile.TarInfo, owner: str, data: IO[bytes] | None = None) -> None:
        """Write one entry; packages may share a folder but not a file."""
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
        """Write a generated file."""
        self._own(name, tarfile.REGTYPE, mode, content, group=group)

    def folder(self, name: str) -> None:
        """Write a generated folder."""
        self._own(name, tarfile.DIRTYPE, 0o755)

    def link(self, name: str, target: str) -> None:
        """Write a generated symbolic link."""
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


def assemble(
    packages: Mapping[str, Path], destination: Path, epoch: int, rules: Rules, *, base: bool
) -> None:
    """Merge .deb files (name to path) into one tar.

    A base also gets the files that maintainer scripts would generate.
    """
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        writer = _Writer(tar, epoch)
        for name in sorted(packages.keys() - rules.packages.keys()):
            _add_package(writer, name, packages[name], rules)
        if base:
            _finish(writer, rules)


def _add_package(writer: _Writer, name: str, path: Path, rules: Rules) -> None:
    with members(path, "--fsys-tarfile") as stream:
        for info in stream:
            _normalize(info, name)
            if info.name and not _is_dropped(info.name, rules):
                _add_member(writer, name, stream, info, rules)
    with members(path, "--ctrl-tarfile") as stream:
        control = {
            info.name.removeprefix("./"): (stream.extractfile(info) or io.BytesIO()).read()
            for info in stream
            if info.isfile()
        }
    record = DEPENDS.sub(lambda line: _kept_dependencies(line, rules), control["control"])
    writer.file(f"var/lib/dpkg/status.d/{name}", record)
    writer.file(f"var/lib/dpkg/status.d/{name}.md5sums", control.get("md5sums", b""))


def _normalize(info: tarfile.TarInfo, package: str) -> None:
    """Give a member a relative path; raises EngineError for one that no package may contain."""
    if fault := _fault(info):
        raise EngineError(
            f"assembling: {package} contains {info.name}, {fault}; report this package"
        )
    info.name = re.sub(r"^\./?", "", info.name).rstrip("/")
    if info.islnk():
        info.linkname = info.linkname.removeprefix("./")


def _add_member(
    writer: _Writer, package: str, stream: tarfile.TarFile, info: tarfile.TarInfo, rules: Rules
) -> None:
    # In a merged-/usr release only base-files, which makes the links, writes elsewhere.
    if package != "base-files" and info.name.split("/")[0] not in ROOTS:
        raise EngineError(
            f"assembling: {package} contains {info.name}, outside a merged /usr; the suite is too"
            " old"
        )
    info.mode &= 0o1777 if info.isdir() else 0o777
    content: IO[bytes] | None = stream.extractfile(info) if info.isfile() else None
    if content and _matches(info.name, rules.files.values()):
        writer.contents[info.name] = content.read()
        content = io.BytesIO(writer.contents[info.name])
    writer.add(info, package, content)


def _kept_dependencies(line: re.Match[bytes], rules: Rules) -> bytes:
    """Return a Depends line without the packages that the rules leave out."""
    needs = line["needs"].split(b", ")
    kept = [need for need in needs if re.split(rb"[ :]", need)[0].decode() not in rules.packages]
    return line["field"] + b", ".join(kept) + b"\n" if kept else b""


def _fault(info: tarfile.TarInfo) -> str:
    """Return why a member is not allowed in any package; empty if it is allowed."""
    if not (info.isfile() or info.isdir() or info.issym() or info.islnk()):
        return "which is not a file, folder or link"
    names = [info.name, *([info.linkname] if info.islnk() else [])]
    return (
        "whose path leads outside the root filesystem"
        if any(".." in name.split("/") or name.startswith("/") for name in names)
        else ""
    )


def _is_dropped(name: str, rules: Rules) -> bool:
    return _matches(name, rules.dropped) and not _matches(name, rules.kept)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(f"/{name}", pattern) for pattern in patterns)


def _finish(writer: _Writer, rules: Rules) -> None:
    for path, pattern in rules.files.items():
        parts = [name for name in sorted(writer.contents) if _matches(name, [pattern])]
        if not parts:
            raise EngineError(
                f"assembling: no package contains {pattern}, from which {path} is made; fix {PLACE}"
            )
        content = b"".join(writer.contents[name] for name in parts)
        # Debian's root account uses bash, which is not in the image.
        content = content.replace(b":/bin/bash\n", b":/bin/sh\n")
        writer.file(path.lstrip("/"), content)
        if path == ACCOUNTS:
            writer.file("etc/shadow", _shadow(content), 0o640, SHADOW_GROUP)
    for path, target in rules.links.items():
        writer.link(path.lstrip("/"), target)
    for path in rules.folders:
        writer.folder(path.lstrip("/"))


def _shadow(passwd: bytes) -> bytes:
    """Return /etc/shadow without passwords, for the accounts of /etc/passwd."""
    names: Sequence[str] = [line.split(":")[0] for line in passwd.decode().splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names).encode()
