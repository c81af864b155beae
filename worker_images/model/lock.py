"""versions.lock: the inputs of all builds, as frozen values and as text."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from worker_images.errors import DriftError
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, read_json

ABOUT = (
    "Written by `make lock` from versions.yaml and images/; review its differences, do not edit it."
)
# The folder of patched sources in the build; it holds one folder, with the digest as its name.
PATCHED = "patched"


@dataclass(frozen=True)
class Package:
    """A .deb: its URL, size and SHA-256."""

    name: str
    version: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Roots:
    """Debian packages for one architecture.

    Each root filesystem has the names that it was resolved from, and the packages that it holds;
    `files` are the packages of all roots.
    """

    names: Mapping[str, tuple[str, ...]]
    holds: Mapping[str, tuple[str, ...]]
    files: tuple[Package, ...]

    def of(self, root: str) -> tuple[Package, ...]:
        """The packages of a root, sorted by name."""
        held = set(self.holds[root])
        return tuple(package for package in self.files if package.name in held)


@dataclass(frozen=True)
class Debian:
    """The suite, its mirrors, and the times at which its packages were resolved.

    The first time is that of all packages. Each later one is that of an addition by `accept`.
    """

    suite: str
    mirror: str
    security: str
    resolved: tuple[str, ...]

    @property
    def time(self) -> int:
        """The last of these times, in seconds since 1970."""
        return int(datetime.fromisoformat(self.resolved[-1]).timestamp())


@dataclass(frozen=True)
class Toolchain:
    """The Go release that compiles.

    `sum` is the h1 in Go's checksum database, `size` the bytes of the zip.
    """

    version: str
    sum: str
    size: int


@dataclass(frozen=True)
class Patch:
    """A file of a component's folder `patches`."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@sha256:{self.sha256}"


@dataclass(frozen=True)
class Module:
    """A Go component's module, and the SHA-256 of its go.mod and go.sum.

    `size` is the bytes of all zips that they name. `replace` is the line of go.sum for a fork,
    `tree` the digest of the sources with the patches.
    """

    module: str
    version: str
    commands: tuple[str, ...]
    mod: str
    sum: str
    size: int
    replace: str = ""
    patches: tuple[Patch, ...] = ()
    tree: str = ""

    @property
    def request(self) -> str:
        """What was resolved."""
        fork = self.replace.rpartition(" ")[0]
        return requested(self.module, self.version, fork, self.commands, self.patches)

    @property
    def suffix(self) -> str:
        """The end of the reported version, such as +fork.patches.2."""
        found = ".fork" * bool(self.replace) + f".patches.{len(self.patches)}" * bool(self.tree)
        return found.replace(".", "+", 1)

    @property
    def replaced(self) -> tuple[str, str] | None:
        """The version and hash that build information has for the module, if it is not its own."""
        if self.tree:
            return f"replaced by ./{PATCHED}/{self.tree} (devel)", ""
        fork, _, total = self.replace.rpartition(" ")
        return (f"replaced by {fork}", total) if fork else None

    def labels(self, component: str) -> dict[str, str]:
        """The labels of a fork and of patches."""
        found = {"fork": self.replace, "patches": " ".join(map(str, self.patches))}
        found["patched"] = f"sha256:{self.tree}" * bool(self.tree)
        return {f"worker.{component}-{name}": text for name, text in found.items() if text}


def requested(
    module: str, version: str, fork: str, commands: Iterable[str], patches: Iterable[Patch]
) -> str:
    """A module's versions and names that are resolved, as one line."""
    return " ".join(filter(None, (module, version, fork, *commands, *map(str, patches))))


@dataclass(frozen=True)
class Wheel:
    """A wheel of PyPI, for a platform by its tag."""

    project: str
    version: str
    platform: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Published:
    """An input of the source upstream: a URL or an image's name, and its digest."""

    address: str
    digest: str


@dataclass(frozen=True)
class Lock:
    """The inputs of all builds; packages and wheels by architecture."""

    debian: Debian
    packages: Mapping[str, Roots]
    toolchain: Toolchain
    modules: Mapping[str, Module]
    wheels: Mapping[str, Mapping[str, Wheel]]
    published: tuple[Published, ...]

    @property
    def request(self) -> dict[str, str]:
        """The versions and names that were resolved, by key; equal to the request of the pins."""
        found = {
            f"debian.{key}": str(value)
            for key, value in asdict(self.debian).items()
            if key != "resolved"
        }
        found |= {
            f"packages.{architecture}.{root}": " ".join(names)
            for architecture, of in self.packages.items()
            for root, names in of.names.items()
        }
        found |= {f"modules.{name}": each.request for name, each in self.modules.items()}
        found |= {
            f"wheels.{architecture}.{name}": f"{each.project} {each.version} {each.platform}"
            for architecture, of in self.wheels.items()
            for name, each in of.items()
        }
        found |= {f"published.{each.address}": each.digest for each in self.published}
        return found | {"go.toolchain": self.toolchain.version}

    def as_text(self) -> str:
        """JSON with one row on each line, so that differences can be reviewed."""
        return _text({"about": ABOUT, **asdict(self)}) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock that `as_text` wrote; raises DriftError."""
        try:
            data = read_json(path)
            if isinstance(data, dict):
                data.pop("about", None)
            return typed(cls, data, "the lock")
        except OSError as error:
            raise DriftError(
                f"{path.name}:1:1: cannot be read ({error.strerror}); run: make lock"
            ) from error
        except UntrustedError as error:
            line = getattr(error.__cause__, "lineno", 1)
            raise DriftError(
                f"{path.name}:{line}:1: not a valid lock ({error}); run: make lock"
            ) from error


def lock_of(versions: Path) -> Path:
    """The path of the lock that belongs to a versions.yaml."""
    return versions.with_suffix(".lock")


def _text(value: object, indent: str = "") -> str:
    """JSON in which each object or list of plain values takes one line."""
    inner = (
        list(value.values())
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, list | tuple)
        else []
    )
    if not any(isinstance(each, dict | list | tuple) for each in inner):
        return json.dumps(value)
    deeper = f"{indent} "
    if isinstance(value, dict):
        rows = [
            f"{deeper}{json.dumps(key)}: {_text(each, deeper)}"
            for key, each in sorted(value.items())
        ]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{deeper}{_text(each, deeper)}" for each in inner) + f"\n{indent}]"
