"""Root filesystem tars from .deb files: no root, no chroot, no maintainer script, the same bytes
each time.
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


def source() -> str:
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


def assemble(
    packages: Mapping[str, Path], destination: Path, epoch: int, rules: Rules, *, base: bool
) -> None:
    """Merge .deb files (name to path) into one tar.

    A base also gets what its packages' scripts would have written.
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
            if fault := _odd(info):
                raise EngineError(
                    f"assembling: {name} holds {info.name}, {fault}; report this package"
                )
            info.name = re.sub(r"^\./?", "", info.name).rstrip("/")
            if info.islnk():
                info.linkname = info.linkname.removeprefix("./")
            if not info.name or _is_dropped(info.name, rules):
                continue
            # No package of a merged-/usr release writes elsewhere but the one that makes the links.
            if name != "base-files" and info.name.split("/")[0] not in ROOTS:
                raise EngineError(
                    f"assembling: {name} holds {info.name}, outside a merged /usr; the suite is"
                    " too old"
                )
            info.mode &= 0o1777 if info.isdir() else 0o777
            content: IO[bytes] | None = stream.extractfile(info) if info.isfile() else None
            if content and _matches(info.name, rules.files.values()):
                writer.contents[info.name] = content.read()
                content = io.BytesIO(writer.contents[info.name])
            writer.add(info, name, content)
    with members(path, "--ctrl-tarfile") as stream:
        control = {
            info.name.removeprefix("./"): (stream.extractfile(info) or io.BytesIO()).read()
            for info in stream
            if info.isfile()
        }
    record = DEPENDS.sub(lambda line: _without(line, rules), control["control"])
    writer.file(f"var/lib/dpkg/status.d/{name}", record)
    writer.file(f"var/lib/dpkg/status.d/{name}.md5sums", control.get("md5sums", b""))


def _without(line: re.Match[bytes], rules: Rules) -> bytes:
    """A line of dependencies without those on packages that are left out."""
    needs = line["needs"].split(b", ")
    kept = [need for need in needs if re.split(rb"[ :]", need)[0].decode() not in rules.packages]
    return line["field"] + b", ".join(kept) + b"\n" if kept else b""


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


def _is_dropped(name: str, rules: Rules) -> bool:
    return _matches(name, rules.dropped) and not _matches(name, rules.kept)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(f"/{name}", pattern) for pattern in patterns)


def _finish(writer: _Writer, rules: Rules) -> None:
    for path, pattern in rules.files.items():
        parts = [name for name in sorted(writer.contents) if _matches(name, [pattern])]
        if not parts:
            raise EngineError(
                f"assembling: no package holds {pattern}, of which {path} is made; correct {PLACE}"
            )
        content = b"".join(writer.contents[name] for name in parts)
        # Debian's root account names bash, which is not here.
        content = content.replace(b":/bin/bash\n", b":/bin/sh\n")
        writer.file(path.lstrip("/"), content)
        if path == ACCOUNTS:
            writer.file("etc/shadow", _shadow(content), 0o640, SHADOW_GROUP)
    for path, target in rules.links.items():
        writer.link(path.lstrip("/"), target)
    for path in rules.folders:
        writer.folder(path.lstrip("/"))


def _shadow(passwd: bytes) -> bytes:
    """No account has a password."""
    names: Sequence[str] = [line.split(":")[0] for line in passwd.decode().splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names).encode()
