"""Go modules as files of a module proxy: those that a build needs, checked by go.sum."""

import base64
import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import DriftError
from worker_images.fetch.http import Download
from worker_images.model.tree import Tree

PROXY = "https://proxy.golang.org"
TOOLCHAIN = "golang.org/toolchain"
# The limits of the go command for a module's zip and its go.mod.
MAX_ZIP_BYTES, MAX_MOD_BYTES = 500 << 20, 16 << 20
# Elements of a path are not empty and do not begin with a dot, so that no file leaves its folder.
LINE = re.compile(
    r"(?P<path>[0-9A-Za-z_~-][0-9A-Za-z._~-]*(?:/[0-9A-Za-z_~-][0-9A-Za-z._~-]*)*) "
    r"(?P<version>v[0-9][0-9A-Za-z.+-]*)(?P<mod>/go\.mod)? (?P<sum>h1:[0-9A-Za-z+/]{43}=)"
)


@dataclass(frozen=True, order=True)
class File:
    """A module's zip or its go.mod, with its line of go.sum."""

    path: str
    version: str
    sum: str
    mod: bool = False

    @property
    def name(self) -> str:
        """The path of the file on every proxy."""
        return f"{escaped(self.path)}/@v/{escaped(self.version)}.{'mod' if self.mod else 'zip'}"

    def fault(self, file: Path) -> str:
        """The difference of a copy from go.sum; empty if there is none."""
        try:
            found = (
                hash1([("go.mod", file.read_bytes())])
                if self.mod
                else hash_of_zip(file, f"{self.path}@{self.version}/")
            )
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            OSError,
            ValueError,
            NotImplementedError,
            EOFError,
            RuntimeError,
        ) as error:
            return f"not a valid module zip: {error}; want {self.sum}"
        return "" if found == self.sum else f"got {found}, want {self.sum}"

    def download(self, proxies: Sequence[str]) -> Download:
        """The download of the file from module proxies."""
        name = f"Go module {self.path} {self.version}"
        most = MAX_MOD_BYTES if self.mod else MAX_ZIP_BYTES
        addresses = tuple(f"{proxy}/{self.name}" for proxy in proxies)
        step = "check the network and GOPROXY, then run again"
        return Download(name, addresses, most, self.fault, step)


def escaped(text: str) -> str:
    """A path or version as proxies escape it: ! and the lower-case letter for a capital."""
    return re.sub(r"[A-Z]", lambda letter: f"!{letter[0].lower()}", text)


def named(setting: str) -> tuple[str, ...]:
    """The HTTP proxies in a setting such as GOPROXY."""
    entries = (entry.strip().rstrip("/") for entry in re.split(r"[,|]", setting))
    return tuple(entry for entry in entries if entry.startswith(("http://", "https://")))


def proxies() -> tuple[str, ...]:
    """The proxies in GOPROXY, or Go's default if it is not set."""
    return named(os.environ.get("GOPROXY") or PROXY)


def hash1(files: Iterable[tuple[str, bytes]]) -> str:
    """The h1 hash of named contents (golang.org/x/mod/sumdb/dirhash)."""
    return _hash((name, hashlib.sha256(content).hexdigest()) for name, content in files)


def hash_of_zip(file: Path, prefix: str) -> str:
    """The h1 hash of a module's zip, all names of which begin with a prefix.

    Raises ValueError for files that the go command would refuse.
    """
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        # A name with a line break could pass for two lines of the hashed text.
        if len(set(names)) < len(names) or any(
            "\n" in name or not name.startswith(prefix) for name in names
        ):
            raise ValueError(
                f"names that are duplicate, contain a line break or do not begin with {prefix}"
            )
        if sum(info.file_size for info in archive.infolist()) > MAX_ZIP_BYTES:
            raise ValueError(f"more than {MAX_ZIP_BYTES} bytes unpacked")
        return _hash((name, _digest(archive, name)) for name in names)


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _hash(digests: Iterable[tuple[str, str]]) -> str:
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests))
    return "h1:" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def files(go_sum: str, name: str) -> tuple[File, ...]:
    """All files in a go.sum; raises DriftError for an invalid line."""
    found = []
    for number, line in enumerate(go_sum.splitlines(), start=1):
        if not (match := LINE.fullmatch(line)):
            raise DriftError(f"{name}:{number}:1: not a valid line of go.sum; run: make lock")
        found.append(File(match["path"], match["version"], match["sum"], mod=bool(match["mod"])))
    return tuple(sorted(set(found)))


def of_component(tree: Tree, name: str) -> tuple[File, ...]:
    """All files from which a component is compiled; raises DriftError."""
    path = tree.part(name, "go.sum")
    return files(path.read_text(), tree.name(path))


def toolchain(release: str, total: str) -> File:
    """The Go release that compiles, as a module of the go command; builds run on amd64."""
    return File(TOOLCHAIN, f"v0.0.1-go{release}.linux-amd64", total)
