"""Derived images: which layers are a worker image's, and what later layers must keep."""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from worker_images.harness.programs import Program
from worker_images.model.ledger import Ledger
from worker_images.model.oci import manifest
from worker_images.model.oci.config import diff_ids
from worker_images.model.oci.files import open_archive
from worker_images.model.oci.image import Entry, Image, ImageError

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
TOOLKIT = "/nvidia-container-runtime/"
# Of accounts, and of the loader's cache.
MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Fault:
    """What breaks a rule: a path, `ENV NAME` or `LABEL NAME`, and why."""

    rule: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Promise:
    """What a derived image keeps of its worker image.

    `labels` are those that begin with "worker.", `paths` the declared files of its components,
    `traces` the names of the programs of every component.
    """

    environment: Mapping[str, str]
    labels: Mapping[str, str]
    paths: frozenset[str]
    traces: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Derivation:
    """A derived image, its worker image, the changes between them, and the added programs.

    `updated` are the paths that newer Debian packages hold.
    """

    image: Image
    worker: Image
    promise: Promise
    changes: tuple[Fault, ...] = ()
    programs: tuple[Program, ...] = ()
    updated: frozenset[str] = frozenset()

    @property
    def added(self) -> Iterator[Entry]:
        """The entries of the later layers, with those for the root."""
        for layer in self.image.layers[len(self.worker.layers) :]:
            yield from (*layer.root, *layer.entries)

    @property
    def variables(self) -> list[tuple[str, str]]:
        """The environment variables, also those that are set twice."""
        lines = (line.partition("=") for line in self.image.environment)
        return [(name, value) for name, _, value in lines]

    def is_trusted(self, entry: Entry) -> bool:
        """Whether a file is the worker image's, or that of a newer Debian package."""
        is_equal = entry.path in self.worker.merged and entry.path not in self._changed
        return entry.layer < len(self.worker.layers) or is_equal or entry.path in self.updated

    def is_new(self, entry: Entry) -> bool:
        """Whether an entry of a later layer brings contents of its own."""
        return entry.kind not in {"folder", "whiteout"} and not self.is_trusted(entry)

    def is_link_to_folder(self, entry: Entry) -> bool:
        """Whether an entry is a link to a folder, or to nothing yet."""
        target = self.image.find(entry.path) if entry.kind == "link" else entry
        return entry.kind == "link" and (target is None or target.kind == "folder")

    def read(self, entry: Entry) -> bytes:
        """The contents of a small file; raises ImageError."""
        return self.image.read(entry, MAX_BYTES)

    @functools.cached_property
    def _changed(self) -> set[str]:
        return {each.path for each in self.changes}


def known_images(
    root: Path, variant: str, components: Iterable[str], architecture: str
) -> list[list[str]]:
    """The diffIDs of each worker image of this checkout: by the ledger, and of the last build."""
    ledger = Ledger.read(root)
    entries = [ledger.latest(name, architecture) for name in ("base", *components)]
    reviewed = [entry.diff_id for entry in entries if entry]
    found = [reviewed] if len(reviewed) == len(entries) else []
    built = _built(root / "out" / variant, architecture)
    return [*found, built] if built and built not in found else found


def _built(folder: Path, architecture: str) -> list[str]:
    """The diffIDs of the image that a build recorded; empty without one."""
    try:
        image_id = json.loads((folder / "build.json").read_text())["image_id"]
        with open_archive(folder / "image.tar") as files:
            found = manifest.read(files, architecture)
    except (OSError, ValueError, KeyError, TypeError, ImageError):
        return []
    return diff_ids(found.config) if found.digests[-1] == image_id else []


def worker_part(image: Image, known: Iterable[Sequence[str]]) -> Image:
    """The image that the derived one is made from; without layers if it is not a known one."""
    found = [layer.diff_id for layer in image.layers]
    count = max((len(each) for each in known if found[: len(each)] == [*each]), default=0)
    return replace(image, layers=image.layers[:count])


def other_origin(image: Image, known: Sequence[Sequence[str]], variant: str) -> str:
    """Why an image is not derived from a known one, in one sentence; empty if it is."""
    found = [layer.diff_id for layer in image.layers]
    begin = f"not derived from a worker:{variant} image of this checkout"
    if not known:
        return f"{begin}: none is in images/ledger.json or out/{variant}; run: make {variant}"
    if worker_part(image, known).layers:
        return ""

    def equal(wanted: Sequence[str]) -> int:
        pairs = zip(found, wanted, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    closest = max(known, key=equal)
    number = equal(closest)
    actual = found[number] if number < len(found) else "missing"
    fix = f"build it FROM worker:{variant} and keep these layers, or name its --variant"
    return f"{begin}: layer {number + 1} is {actual}, want {closest[number]}; {fix}"
