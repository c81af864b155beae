"""The closed world: every path of every layer has an owner that declares it."""

import contextlib
import fnmatch
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from worker_images.errors import FetchError
from worker_images.fetch.apt import fetch, resolve
from worker_images.files import CACHE
from worker_images.harness import deb
from worker_images.harness.dpkg import STATUS, Installed, names
from worker_images.model.lock import Package, Roots
from worker_images.model.oci.image import Entry, Image, ImageError, plain
from worker_images.model.pins import DebianPin
from worker_images.model.rootfs import Rules

# What is downloaded for the packages that an image records, which may be hostile. Updates of all
# packages of a worker image have less than half of this.
MAX_PACKAGES, MAX_PACKAGE_BYTES = 200, 512 << 20


@dataclass(frozen=True)
class Declared:
    """One path as its owner declares it.

    `sha256` is None if any contents are valid. `reduced` is the SHA-256 of a package record without
    the dependencies that worker images exclude. `times` are those of the path in all packages that
    hold it; a file without one is written by the build.
    """

    owner: str
    entry: Entry
    sha256: str | None = None
    reduced: str | None = None
    times: frozenset[float] = frozenset()


def debs(
    packages: Mapping[str, Installed],
    pin: DebianPin,
    locked: Roots,
    architecture: str,
    *,
    every: bool,
) -> dict[str, Path]:
    """Return the .deb of each package, verified by the digests of the lock or of Debian's index.

    Raises FetchError if `every` is set and a package is unknown, and ImageError for more packages
    than a download may have.
    """
    index = {(package.name, package.version): package for package in locked.files}
    wanted = {(name, package.version) for name, package in packages.items()}
    others = wanted - set(index)
    _check_bound(len(others), MAX_PACKAGES, "Debian packages that are not in versions.lock")
    if others:
        # A derived image may hold packages from elsewhere; their paths are listed one by one.
        with contextlib.suppress(*(() if every else (FetchError,))):
            index |= _from_index(pin, wanted, architecture)
    size = sum(index[each].size for each in others & set(index))
    _check_bound(size, MAX_PACKAGE_BYTES, "bytes of Debian packages that are not in versions.lock")
    known = sorted(wanted if every else wanted & set(index))
    files = fetch([index[each] for each in known], CACHE / "debs")
    return {name: file for (name, _), file in zip(known, files, strict=True)}


def _check_bound(count: int, most: int, what: str) -> None:
    if count > most:
        raise ImageError(f"the image records {count} {what}; at most {most} are downloaded")


def _from_index(
    pin: DebianPin, wanted: Iterable[tuple[str, str]], architecture: str
) -> dict[tuple[str, str], Package]:
    requests = [f"{name}={version}" for name, version in sorted(wanted)]
    return {
        (package.name, package.version): package
        for package in resolve(pin, {"tested": requests}, architecture)["tested"]
    }


def declared_by_packages(files: Mapping[str, Path], rules: Rules) -> dict[str, Declared]:
    """Return the paths of the packages, and the two records that the image keeps of each."""
    with ThreadPoolExecutor() as pool:
        rows = list(
            pool.map(lambda item: dict(_declared_by(item[0], item[1], rules)), files.items())
        )
    found: dict[str, Declared] = {}
    for path, declared in (item for row in rows for item in row.items()):
        earlier = found.get(path, declared).times
        found[path] = replace(declared, times=declared.times | earlier)
    return found


def _declared_by(name: str, path: Path, rules: Rules) -> Iterator[tuple[str, Declared]]:
    with deb.open_files(path) as stream:
        for info in stream:
            content = stream.extractfile(info) if info.isreg() else None
            entry = deb.entry_of(info)
            if entry.path in {"/", "/."}:
                continue
            # No file of a worker image is setuid or setgid.
            entry = replace(entry, mode=entry.mode & (0o1777 if entry.kind == "folder" else 0o777))
            yield (
                entry.path,
                Declared(
                    name,
                    entry,
                    hashlib.sha256(content.read()).hexdigest() if content else None,
                    times=frozenset({entry.time}),
                ),
            )
    with deb.open_control(path) as stream:
        control = {
            info.name.removeprefix("./"): content.read()
            for info in stream
            if (content := stream.extractfile(info))
        }
    for suffix, part in (("", "control"), (".md5sums", "md5sums")):
        data, place = control.get(part, b""), f"{STATUS}/{name}{suffix}"
        digests = [hashlib.sha256(each).hexdigest() for each in (data, _reduced(data, rules))]
        yield place, Declared(name, plain(place, "file", "0644"), digests[0], digests[1])


def _reduced(record: bytes, rules: Rules) -> bytes:
    """Return a package's record without its dependencies on excluded packages."""
    lines = []
    for line in record.splitlines(keepends=True):
        field, _, value = line.decode(errors="surrogateescape").rstrip("\n").partition(": ")
        if field not in {"Depends", "Pre-Depends"}:
            lines.append(line)
        elif kept := [
            dependency for dependency in value.split(", ") if not _is_excluded(dependency, rules)
        ]:
            lines.append(f"{field}: {', '.join(kept)}\n".encode(errors="surrogateescape"))
    return b"".join(lines)


def _is_excluded(dependency: str, rules: Rules) -> bool:
    return not rules.packages.keys().isdisjoint(names(dependency)[:1])


def leftovers(image: Image, rules: Rules) -> list[str]:
    """Return the paths in any layer that the rules drop, except folders, which may hold others."""
    return [
        entry.path
        for entry in image.entries
        if entry.kind != "folder" and _is_dropped(entry.path, rules)
    ]


def _is_dropped(path: str, rules: Rules) -> bool:
    # Independent of the rules: no licence may be dropped.
    kept = (*rules.kept, "*/copyright")
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in rules.dropped) and not any(
        fnmatch.fnmatchcase(path, pattern) for pattern in kept
    )


def findings(image: Image, declared: Mapping[str, Declared], rules: Rules) -> list[str]:
    """Return a line for each path that is undeclared, differs from its declaration, or is missing.

    The lines are in layer order; missing paths come last.
    """
    parents = {str(parent) for path in declared for parent in PurePosixPath(path).parents}
    lines = [
        f"{entry.path}: {what}; {origin(image, entry)}"
        for entry in _with_roots(image)
        if (what := fault(image, entry, declared.get(entry.path), parents))
    ]
    absent = sorted(declared.keys() - {entry.path for entry in image.entries})
    return lines + [
        f"{path}: missing: declared by {declared[path].owner}, in no layer"
        for path in absent
        if not _is_dropped(path, rules)
    ]


def _with_roots(image: Image) -> Iterator[Entry]:
    """All entries of all layers, also those for / itself."""
    for layer in image.layers:
        yield from (*layer.root, *layer.entries)


def other_times(image: Image, declared: Mapping[str, Declared], constant: int) -> list[str]:
    """Return a line for each path whose time is not that of its package or of versions.yaml.

    A package's time that is later than the constant becomes the constant.
    """
    lines = []
    for entry in _with_roots(image):
        found = declared.get(entry.path)
        times = {min(int(time), constant) for time in found.times} if found else set[int]()
        if not times or entry.kind == "folder":
            times.add(constant)
        if entry.time not in times:
            lines.append(f"{entry.path}: time {entry.time:.0f}, want {sorted(times)}")
    return lines


def fault(image: Image, entry: Entry, declared: Declared | None, parents: set[str]) -> str:
    """How a path differs from its declaration; empty if it does not."""
    if entry.attributes:
        return f"has the attributes {', '.join(entry.attributes)}"
    if declared is None:
        if entry.kind != "folder" or entry.path not in parents:
            return f"a {entry.kind} that no package and no component declares"
        want = describe(plain(entry.path, "folder", "0755"))
        return f"{describe(entry)}, want {want}" if describe(entry) != want else ""
    if describe(entry) != describe(declared.entry):
        return f"{describe(entry)}; {declared.owner} declares {describe(declared.entry)}"
    if declared.sha256 and image.sha256(entry) not in {declared.sha256, declared.reduced}:
        return f"its contents are not those of {declared.owner}"
    return ""


def origin(image: Image, entry: Entry) -> str:
    """The layer of an entry, and the instruction that created the layer."""
    return f"layer {entry.layer + 1}, made by: {image.instruction(entry.layer)}"


def describe(entry: Entry) -> str:
    """The kind, mode, owner and target of a path, as text."""
    rights = "" if entry.kind == "link" else f" {entry.mode:04o} {entry.user}:{entry.group}"
    return f"a {entry.kind}{rights}{' to ' * bool(entry.target)}{entry.target}"
