"""The closed world: every path of every layer has an owner who declared what it is."""

import contextlib
import email.parser
import fnmatch
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from worker_images.errors import FetchError
from worker_images.fetch.apt import fetch, members, resolve
from worker_images.files import CACHE
from worker_images.model.lock import Package, Roots
from worker_images.model.oci.archive import entry_of
from worker_images.model.oci.image import Entry, Image, ImageError, plain
from worker_images.model.pins import PACKAGE, DebianPin
from worker_images.model.rootfs import Rules

STATUS = "/var/lib/dpkg/status.d"
VERSION = re.compile(r"[0-9][0-9A-Za-z.+:~-]*")
ALTERNATIVE = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)")


@dataclass(frozen=True)
class Declared:
    """What an owner says of one path; `sha256` is None where any contents will do.

    `reduced` is that of a package's record without dependencies that images leave out.
    """

    owner: str
    entry: Entry
    sha256: str | None = None
    reduced: str | None = None


@dataclass(frozen=True)
class Control:
    """What an installed package says of itself; any one of the names of a need will do."""

    version: str
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


def installed(image: Image) -> dict[str, Control]:
    """The Debian packages that any layer records, by name."""
    found = {}
    for entry in image.entries:
        if (
            PurePosixPath(entry.path).parent == PurePosixPath(STATUS)
            and entry.kind == "file"
            and not entry.path.endswith(".md5sums")
        ):
            fields = email.parser.BytesParser().parsebytes(image.read(entry))
            needs = (*_needs(fields["Depends"]), *_needs(fields["Pre-Depends"]))
            name, version = PurePosixPath(entry.path).name, str(fields["Version"])
            # Both become words of a question to Debian.
            if not (re.fullmatch(PACKAGE, name) and VERSION.fullmatch(version)):
                raise ImageError(f"{entry.path}: no record of a Debian package")
            found[name] = Control(version, needs, tuple(_names(fields["Provides"])))
    return found


def _needs(field: str | None) -> Iterator[tuple[str, ...]]:
    for need in (field or "").split(","):
        if names := _names(need):
            yield tuple(names)


def _names(field: str | None) -> list[str]:
    return ALTERNATIVE.findall(field or "")


def unmet(packages: Mapping[str, Control]) -> set[str]:
    """The first names of needs that no installed package meets."""
    met = {name for each, control in packages.items() for name in (each, *control.provides)}
    needs = (need for control in packages.values() for need in control.needs)
    return {need[0] for need in needs if not met.intersection(need)}


def unneeded(packages: Mapping[str, Control], wanted: Iterable[str]) -> set[str]:
    """Packages that nobody named and no named one needs."""
    providers: dict[str, set[str]] = {}
    for name, control in packages.items():
        for provided in (name, *control.provides):
            providers.setdefault(provided, set()).add(name)
    reached, waiting = set[str](), list(wanted)
    while waiting:
        for name in providers.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting += [each for need in packages[name].needs for each in need]
    return set(packages) - reached


def debs(
    packages: Mapping[str, Control],
    pin: DebianPin,
    locked: Roots,
    architecture: str,
    *,
    every: bool,
) -> dict[str, Path]:
    """The .deb of each package, by the digests of the lock or of Debian's index.

    Raises FetchError where `every` one must be known.
    """
    index = {(package.name, package.version): package for package in locked.files}
    wanted = {(name, control.version) for name, control in packages.items()}
    if not wanted <= set(index):
        # A user's image may hold packages of others; what is not Debian's is told path by path.
        with contextlib.suppress(*(() if every else (FetchError,))):
            index |= _asked(pin, wanted, architecture)
    known = sorted(wanted if every else wanted & set(index))
    files = fetch([index[each] for each in known], CACHE / "debs")
    return {name: file for (name, _), file in zip(known, files, strict=True)}


def _asked(
    pin: DebianPin, wanted: Iterable[tuple[str, str]], architecture: str
) -> dict[tuple[str, str], Package]:
    names = [f"{name}={version}" for name, version in sorted(wanted)]
    return {
        (package.name, package.version): package
        for package in resolve(pin, {"judged": names}, architecture)["judged"]
    }


def of_packages(files: Mapping[str, Path], rules: Rules) -> dict[str, Declared]:
    """Every path of every package, and the two records that the image keeps of each."""
    with ThreadPoolExecutor() as pool:
        rows = pool.map(lambda item: dict(_of_package(item[0], item[1], rules)), files.items())
    return {path: declared for row in rows for path, declared in row.items()}


def _of_package(name: str, path: Path, rules: Rules) -> Iterator[tuple[str, Declared]]:
    with members(path, "--fsys-tarfile") as stream:
        for info in stream:
            content = stream.extractfile(info) if info.isreg() else None
            entry = entry_of(info, 0)
            # No file of a worker keeps a right that its caller has not.
            entry = replace(entry, mode=entry.mode & (0o1777 if entry.kind == "folder" else 0o777))
            yield (
                entry.path,
                Declared(
                    name, entry, hashlib.sha256(content.read()).hexdigest() if content else None
                ),
            )
    with members(path, "--ctrl-tarfile") as stream:
        control = {
            info.name.removeprefix("./"): content.read()
            for info in stream
            if (content := stream.extractfile(info))
        }
    for suffix, part in (("", "control"), (".md5sums", "md5sums")):
        data, place = control.get(part, b""), f"{STATUS}/{name}{suffix}"
        digests = [hashlib.sha256(each).hexdigest() for each in (data, _reduced(data, rules))]
        yield place, Declared(name, plain(place, "file", "0644"), *digests)


def _reduced(record: bytes, rules: Rules) -> bytes:
    """A package's record without its dependencies on packages that are left out."""
    lines = []
    for line in record.splitlines(keepends=True):
        field, _, value = line.decode(errors="surrogateescape").rstrip("\n").partition(": ")
        if field not in {"Depends", "Pre-Depends"}:
            lines.append(line)
        elif kept := [need for need in value.split(", ") if not _is_left_out(need, rules)]:
            lines.append(f"{field}: {', '.join(kept)}\n".encode(errors="surrogateescape"))
    return b"".join(lines)


def _is_left_out(need: str, rules: Rules) -> bool:
    return not rules.packages.keys().isdisjoint(_names(need)[:1])


def leftovers(image: Image, rules: Rules) -> list[str]:
    """Every path of any layer that the rules drop; folders may hold what they keep."""
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
    """Every path that nobody declared, that is not what its owner says, or that is missing.

    In layer order.
    """
    parents = {str(parent) for path in declared for parent in PurePosixPath(path).parents}
    faults = [
        (entry, _fault(image, entry, declared.get(entry.path), parents)) for entry in image.entries
    ]
    places = {
        layer: f"layer {layer + 1}, made by: {image.instruction(layer)}"
        for layer in range(len(image.layers))
    }
    found = [f"{entry.path}: {fault}; {places[entry.layer]}" for entry, fault in faults if fault]
    absent = [
        path
        for path in declared.keys() - {entry.path for entry in image.entries}
        if declared[path].entry.kind != "folder"
    ]
    lost = [path for path in sorted(absent) if not _is_dropped(path, rules)]
    return [*found, *(f"{path}: {declared[path].owner} holds it, no layer does" for path in lost)]


def _fault(image: Image, entry: Entry, declared: Declared | None, parents: set[str]) -> str:
    if entry.attributes:
        return f"carries {', '.join(entry.attributes)}"
    if declared is None:
        plain_folder = entry.path in parents and _shown(entry) == _shown(
            plain(entry.path, "folder", "0755")
        )
        return "" if plain_folder else f"a {entry.kind} that no package and no component declares"
    if _shown(entry) != _shown(declared.entry):
        return f"{_shown(entry)}, where {declared.owner} has {_shown(declared.entry)}"
    if declared.sha256 and image.sha256(entry) not in {declared.sha256, declared.reduced}:
        return f"its contents are not those of {declared.owner}"
    return ""


def _shown(entry: Entry) -> str:
    rights = "" if entry.kind == "link" else f" {entry.mode:04o} {entry.user}:{entry.group}"
    return f"a {entry.kind}{rights}{' to ' * bool(entry.target)}{entry.target}"
