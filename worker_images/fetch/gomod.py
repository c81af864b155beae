"""Go modules as files of a module proxy: which ones a build needs, and whether they are those of
go.sum.
"""

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

PROXY = "https://proxy.golang.org"
TOOLCHAIN = "golang.org/toolchain"
# What the go command itself allows a module's zip and its go.mod to have.
MOST_ZIP_BYTES, MOST_MOD_BYTES = 500 << 20, 16 << 20
# A path's elements begin with neither a dot nor nothing: a name must not lead out of the folder
# that it is put in.
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
        """Where every proxy has it."""
        return f"{escaped(self.path)}/@v/{escaped(self.version)}.{'mod' if self.mod else 'zip'}"

    def fault(self, file: Path) -> str:
        """What is wrong with a copy; empty where it is the one of go.sum."""
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
            return f"not a module's zip: {error}; want {self.sum}"
        return "" if found == self.sum else f"got {found}, want {self.sum}"

    def download(self, proxies: Sequence[str]) -> Download:
        """The file, from module proxies."""
        what, most = (
            f"Go module {self.path} {self.version}",
            (MOST_MOD_BYTES if self.mod else MOST_ZIP_BYTES),
        )
        addresses = tuple(f"{proxy}/{self.name}" for proxy in proxies)
        return Download(
            what, addresses, most, self.fault, "check the network and GOPROXY, then run again"
        )


def escaped(text: str) -> str:
    """A path or version as proxies write it: capitals as ! and the small letter."""
    return re.sub(r"[A-Z]", lambda letter: f"!{letter[0].lower()}", text)


def named(setting: str) -> tuple[str, ...]:
    """The HTTP proxies of a setting such as GOPROXY."""
    entries = (entry.strip().rstrip("/") for entry in re.split(r"[,|]", setting))
    return tuple(entry for entry in entries if entry.startswith(("http://", "https://")))


def proxies() -> tuple[str, ...]:
    """The addresses that GOPROXY names, or Go's own; none where it names none."""
    return named(os.environ.get("GOPROXY") or PROXY)


def hash1(files: Iterable[tuple[str, bytes]]) -> str:
    """Go's h1 of named contents (golang.org/x/mod/sumdb/dirhash)."""
    return _summed((name, hashlib.sha256(content).hexdigest()) for name, content in files)


def hash_of_zip(file: Path, prefix: str) -> str:
    """The h1 of a module's zip, all of whose names begin alike.

    Raises ValueError for what the go command would refuse, too.
    """
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        # A name with a line break could stand for two lines of the sum.
        if len(set(names)) < len(names) or any(
            "\n" in name or not name.startswith(prefix) for name in names
        ):
            raise ValueError(f"names that do not begin {prefix}, twice or with a line break")
        if sum(info.file_size for info in archive.infolist()) > MOST_ZIP_BYTES:
            raise ValueError(f"more than {MOST_ZIP_BYTES} bytes unpacked")
        return _summed((name, _digest(archive, name)) for name in names)


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _summed(digests: Iterable[tuple[str, str]]) -> str:
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests))
    return "h1:" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def files(go_sum: str, name: str) -> tuple[File, ...]:
    """Every file that a go.sum names; raises DriftError for a line that is none."""
    found = []
    for number, line in enumerate(go_sum.splitlines(), start=1):
        if not (match := LINE.fullmatch(line)):
            raise DriftError(f"{name}:{number}:1: not a line of go.sum; run: make lock")
        found.append(File(match["path"], match["version"], match["sum"], mod=bool(match["mod"])))
    return tuple(sorted(set(found)))


def of_component(root: Path, name: str) -> tuple[File, ...]:
    """Every file that a component of a checkout is compiled from; raises DriftError."""
    path = Path("images/components") / name / "go.sum"
    return files((root / path).read_text(), str(path))


def toolchain(release: str, total: str) -> File:
    """The Go release that compiles, as the module that the go command knows it by.

    Builds run on amd64.
    """
    return File(TOOLCHAIN, f"v0.0.1-go{release}.linux-amd64", total)
