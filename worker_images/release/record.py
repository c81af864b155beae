"""The record of a release: what was published, by whose digests, and how it was tested."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from packaging.version import InvalidVersion, Version

from worker_images.build.inputs import BASE
from worker_images.errors import UsageError
from worker_images.files import write_atomic
from worker_images.model.lock import Lock
from worker_images.model.oci.outline import Outline
from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.release.tested import LayerResults, Tested
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, read_json, shown

# A tag is VERSION-VARIANT, and has at most 128 characters.
VERSION = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,99}")
# Stands for "/" in the name of a record. No repository has it in its name.
SEPARATOR = "+"


@dataclass(frozen=True)
class Component:
    """A component as it reports its version; `bytes` is the size of its unpacked layer."""

    name: str
    version: str
    licence: str
    bytes: int


@dataclass(frozen=True)
class Package:
    """A Debian package; `security` means that the lock names Debian's security archive."""

    name: str
    version: str
    security: bool = False


@dataclass(frozen=True)
class Layer:
    """The results of a test layer: `not_run` counts checks by their reason.

    A layer without any check has the reason why it did not run.
    """

    name: str
    passed: int
    failed: int
    not_run: Mapping[str, int]
    reason: str = ""


@dataclass(frozen=True)
class Platform:
    """One published image. The base is its first component; sizes are in bytes.

    `zstd` is the compressed size with zstd, 0 if it is not known.
    """

    variant: str
    architecture: str
    image_id: str
    manifest_digest: str
    compressed: int
    components: tuple[Component, ...]
    drivers: tuple[str, ...]
    packages: tuple[Package, ...]
    tests: tuple[Layer, ...]
    lacks: tuple[str, ...] = ()
    zstd: int = 0

    @property
    def name(self) -> str:
        """The variant and the architecture."""
        return f"{self.variant} {self.architecture}"

    @property
    def bytes(self) -> int:
        """The size of all unpacked layers."""
        return sum(component.bytes for component in self.components)


@dataclass(frozen=True)
class Released:
    """A release: `name` is the registry and repository, `indexes` the index digest of each variant.

    `created` is the time of the lock; `signer` the options of verify-release that name the signer.
    """

    name: str
    version: str
    revision: str
    created: str
    indexes: Mapping[str, str]
    platforms: tuple[Platform, ...]
    signer: str

    def write(self, root: Path) -> Path:
        """Write the record of a checkout, atomically, and return its path; raises UsageError."""
        path = file_of(root, self.version, self.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")
        return path

    @classmethod
    def read(cls, root: Path, version: str, name: str = "") -> Self:
        """Read the record of a release; its name is needed if several repositories have it.

        Raises UsageError.
        """
        path = file_of(root, version, name) if name else _only(root, version)
        try:
            found = typed(cls, read_json(path))
        except FileNotFoundError:
            raise UsageError(_absent(root, version, name)) from None
        except (OSError, UntrustedError) as error:
            raise UsageError(f"{path}: not a record of a release: {error}") from error
        if found.version != version:
            raise UsageError(f"{path}: is the record of release {found.version}, not {version}")
        return found


def _absent(root: Path, version: str, name: str) -> str:
    """The message about a release without a record."""
    again = "run the same release command again in the checkout that released it"
    if others := _repositories(root, version):
        return (
            f"{version} was released to {', '.join(others)}, not to {name}; name one of them, or"
            f" {again}"
        )
    known = sorted({each.parent.name for each in root.glob("out/release/*/*.json")})
    return (
        f"{root / 'out/release'}: no record of release {version}; releases with a record:"
        f" {', '.join(known) or 'none'}; for another one, {again}"
    )


def _repositories(root: Path, version: str) -> list[str]:
    """The repositories that have a record of a version."""
    found = sorted(file_of(root, version, "").parent.glob("*.json"))
    return [path.stem.replace(SEPARATOR, "/") for path in found]


def _only(root: Path, version: str) -> Path:
    """The record of a version in its only repository; raises UsageError if there are several."""
    found = _repositories(root, version)
    if len(found) > 1:
        raise UsageError(
            f"{version} was released to {', '.join(found)}; name one of them with --registry"
        )
    return file_of(root, version, "".join(found))


def file_of(root: Path, version: str, name: str) -> Path:
    """The file of a release's record; raises UsageError for a version that no tag can have."""
    check_version(version)
    return root / "out/release" / version / f"{name.replace('/', SEPARATOR)}.json"


def check_version(version: str, variants: Iterable[str] = (), option: str = "version") -> None:
    """Raise UsageError if no tag VERSION-VARIANT can have a version, the value of an option."""
    if not VERSION.fullmatch(version):
        raise UsageError(
            f"{option} {shown(version)!r}: not a version; use letters, digits, . _ and -, such as"
            " 1.4.0"
        )
    if named := [each for each in variants if version.endswith(f"-{each}")]:
        raise UsageError(
            f"{option} {version}: ends with a variant, and tags are VERSION-VARIANT; use"
            f" {version.removesuffix(f'-{named[0]}')}"
        )


def check_since(since: str, version: str) -> None:
    """Raise UsageError if a version is not earlier; versions may also have no order."""
    try:
        later = Version(since) >= Version(version)
    except InvalidVersion:
        later = since == version
    if later:
        raise UsageError(f"--since {since}: not earlier than {version}; name an earlier release")


def sizes(outline: Outline, components: Sequence[str]) -> dict[str, int]:
    """The unpacked bytes of the base and of each component, which are the last layers."""
    below = len(outline.layers) - len(components)
    names = [BASE] * below + list(components)
    found = dict.fromkeys(names, 0)
    for name, (_, size) in zip(names, outline.layers, strict=True):
        found[name] += size
    return found


def packages(lock: Lock, architecture: str, names: Iterable[str]) -> tuple[Package, ...]:
    """The locked Debian packages with these names; raises KeyError for one that is not locked."""
    locked = {package.name: package for package in lock.packages[architecture].files}
    security = f"{lock.debian.security}/"
    return tuple(
        Package(name, locked[name].version, locked[name].url.startswith(security))
        for name in sorted(set(names))
    )


def layers(tested: Tested) -> tuple[Layer, ...]:
    """The results of an image's test layers, as counts."""
    return tuple(_layer(each) for each in tested.layers)


def _layer(found: LayerResults) -> Layer:
    reasons = Counter(row.reason for row in found.rows if row.outcome == NOT_RUN)
    return Layer(
        found.name,
        found.count(PASSED),
        found.count(FAILED),
        dict(sorted(reasons.items())),
        found.reason,
    )
