"""versions.lock: all that a build takes in, as frozen values and as text."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from worker_images.errors import DriftError

ABOUT = (
    "Written by `make lock` from versions.yaml and images/; review its differences, do not edit it."
)


@dataclass(frozen=True)
class Package:
    """One .deb: where it lies and what its bytes are."""

    name: str
    version: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Roots:
    """Debian's packages for one architecture: the names that each root filesystem was resolved
    from, the packages that it holds, and their files.
    """

    names: Mapping[str, tuple[str, ...]]
    holds: Mapping[str, tuple[str, ...]]
    files: tuple[Package, ...]

    def of(self, root: str) -> tuple[Package, ...]:
        """The packages of a root, by name."""
        held = set(self.holds[root])
        return tuple(package for package in self.files if package.name in held)


@dataclass(frozen=True)
class Debian:
    """The suite, where it lies, and when its packages were last other ones."""

    suite: str
    mirror: str
    security: str
    resolved: str


@dataclass(frozen=True)
class Toolchain:
    """The Go release that compiles: the h1 that the checksum database vouches for.

    Bytes of its zip.
    """

    version: str
    sum: str
    size: int


@dataclass(frozen=True)
class Module:
    """A Go component: its module, and the SHA-256 of its go.mod and go.sum, which name all others.

    Bytes of all zips.
    """

    module: str
    version: str
    mod: str
    sum: str
    size: int


@dataclass(frozen=True)
class Wheel:
    """A wheel of PyPI."""

    project: str
    version: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Published:
    """What the source upstream fetches: an address or an image's name, and its digest."""

    address: str
    digest: str


@dataclass(frozen=True)
class Lock:
    """All that any build takes in."""

    debian: Debian
    packages: Mapping[str, Roots]
    toolchain: Toolchain
    modules: Mapping[str, Module]
    wheels: Mapping[str, Wheel]
    published: tuple[Published, ...]

    @property
    def request(self) -> dict[str, str]:
        """What it was made for, by key: equal to the request of the pins that it was made from."""
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
        found |= {
            f"modules.{name}": f"{each.module} {each.version}"
            for name, each in self.modules.items()
        }
        found |= {
            f"wheels.{name}": f"{each.project} {each.version}" for name, each in self.wheels.items()
        }
        found |= {f"published.{each.address}": each.digest for each in self.published}
        return found | {"go.toolchain": self.toolchain.version}

    def as_text(self) -> str:
        """JSON, a row a line where a review reads rows."""
        return _text({"about": ABOUT, **asdict(self)}) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `as_text` wrote; raises DriftError."""
        try:
            data = json.loads(path.read_text(), object_pairs_hook=_once)
            return cls(
                Debian(**data["debian"]),
                {architecture: _roots(rows) for architecture, rows in data["packages"].items()},
                Toolchain(**data["toolchain"]),
                {name: Module(**row) for name, row in data["modules"].items()},
                {name: Wheel(**row) for name, row in data["wheels"].items()},
                tuple(Published(**row) for row in data["published"]),
            )
        except OSError as error:
            raise DriftError(
                f"{path.name}:1:1: cannot be read ({error.strerror}); run: make lock"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            line = getattr(error, "lineno", 1)
            raise DriftError(
                f"{path.name}:{line}:1: not a lock of this version ({error!r}); run: make lock"
            ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; raises ValueError where a key is written twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key is written twice: {', '.join(sorted(key for key, _ in pairs))}")
    return found


def lock_of(versions: Path) -> Path:
    """The lock of a file of pins lies beside it."""
    return versions.with_suffix(".lock")


def _roots(data: Mapping[str, Any]) -> Roots:
    names, holds = (
        {root: tuple(each) for root, each in data[key].items()} for key in ("names", "holds")
    )
    return Roots(names, holds, tuple(Package(**row) for row in data["files"]))


def _text(value: object, indent: str = "") -> str:
    """JSON in which whatever holds only plain values stands on one line."""
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


def differences(lock: Lock, wanted: Mapping[str, str], name: str) -> Iterator[str]:
    """Each key under which the lock was made for something else than what is wanted now."""
    had = lock.request
    for key in sorted({*had, *wanted}):
        if had.get(key) != wanted.get(key):
            yield f"{name}: {key}: {_difference(had.get(key), wanted.get(key))}; run: make lock"


def _difference(had: str | None, wanted: str | None) -> str:
    if had is None:
        return f"not in the lock: {wanted}"
    if wanted is None:
        return "in the lock, and no longer needed"
    before, after = set(had.split()), set(wanted.split())
    gone, new = sorted(before - after), sorted(after - before)
    parts = [f"not in the lock: {' '.join(new)}"] if new else []
    parts += [f"no longer needed: {' '.join(gone)}"] if gone else []
    return "; ".join(parts) or f"locked {had}, wanted {wanted}"


def changes(path: Path, text: str) -> Iterator[str]:
    """The Debian packages that a new lock's text has otherwise than the lock on disk, a line each.

    Nothing where there is none.
    """
    try:
        before = json.loads(path.read_text())["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for architecture, roots in json.loads(text)["packages"].items():
        old, new = (
            {row["name"]: row["version"] for row in rows["files"]}
            for rows in (before.get(architecture, {"files": []}), roots)
        )
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield (
                    f"  {architecture}: {name}: {old.get(name, 'not there')} ->"
                    f" {new.get(name, 'gone')}"
                )
