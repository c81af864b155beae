"""The folder of an OCI layout that others wrote: only regular files are read, each within bounds.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worker_images.errors import PolicyError, RegistryError
from worker_images.files import atomic_path
from worker_images.model.oci.image import CHUNK
from worker_images.release import layout, tree
from worker_images.release.layout import NAME, Layout, Object
from worker_images.release.names import LAYOUT
from worker_images.release.tree import MAX_DEPTH, MAX_MANIFEST_BYTES, Tree
from worker_images.untrusted import shown

# The manifests of a folder, which may hold many releases.
MAX_ENTRIES = 10_000


@contextlib.contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a regular file; raises PolicyError.

    Follows no link, and does not wait for the writer of a FIFO.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise PolicyError(f"{name} is missing") from error
    except OSError as error:
        if path.is_symlink():
            raise PolicyError(f"{name} is a link; replace it with the file") from error
        raise PolicyError(f"{name} is not a file that can be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise PolicyError(f"{name} is not a regular file")
    with os.fdopen(number, "rb") as file:
        yield file


@dataclass(frozen=True)
class Folder:
    """The folder of an OCI layout."""

    path: Path

    def shown(self, reference: str) -> str:
        """A reference, :TAG or @DIGEST, as users write it."""
        return f"{LAYOUT}{self.path}{reference}"

    def resolve(self, reference: str) -> str:
        """The digest that index.json has for a reference; raises RegistryError or PolicyError."""
        _read(self.path / "oci-layout", "oci-layout")
        found = {each["digest"] for each in self._entries() if reference in _names(each)}
        if not found:
            raise RegistryError(
                f"{self.shown(reference)}: not found in index.json; name a tag, or the digest in"
                ' the line "index"'
            )
        if len(found) > 1:
            raise PolicyError(
                f"index.json has several entries {shown(reference[1:])}; use its digest"
            )
        return str(*found)

    def referrers(self, digest: str) -> tuple[list[str], list[str]]:
        """The manifests that are attached to a digest, and the faults of those in index.json."""
        found, faults = list[str](), list[str]()
        waiting, seen = [(each["digest"], 1) for each in self._entries()], {digest}
        while waiting:
            each, depth = waiting.pop(0)
            if each in seen:
                continue
            seen.add(each)
            if depth > MAX_DEPTH or len(seen) > MAX_ENTRIES:
                bound = f"{MAX_ENTRIES} manifests, or some deeper than {MAX_DEPTH} levels"
                return found, [*faults, f"index.json names more than {bound}"]
            try:
                parsed = tree.read(self.manifest(each), each)
            except PolicyError as error:
                faults.append(str(error))
                continue
            if parsed.get("subject", {}).get("digest") == digest:
                found.append(each)
            waiting += [(entry["digest"], depth + 1) for entry in parsed.get("manifests", ())]
        return found, faults

    def manifest(self, digest: str) -> bytes:
        """The bytes of a manifest; raises PolicyError."""
        return _read(Layout(self.path).path(digest), f"manifest {digest}")

    def copy(self, found: Tree, pulled: Layout) -> list[str]:
        """Copy manifests and blobs; return what is wrong with blobs."""
        for digest, data in found.manifests.items():
            pulled.path(digest).write_bytes(data)
        faults = list[str]()
        for digest, size in found.blobs.items():
            try:
                self._copy(digest, size, pulled)
            except PolicyError as error:
                faults.append(str(error))
        return faults

    def _copy(self, digest: str, size: int, pulled: Layout) -> None:
        """Copy a blob; raises PolicyError."""
        name, total, left = f"blob {digest}", hashlib.sha256(), size
        with (
            opened(Layout(self.path).path(digest), name) as file,
            atomic_path(pulled.path(digest)) as part,
            part.open("wb") as copy,
        ):
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise PolicyError(f"{name} has {found} bytes instead of {size}")
            while piece := file.read(min(CHUNK, left)):
                left -= len(piece)
                total.update(piece)
                copy.write(piece)
            if f"sha256:{total.hexdigest()}" != digest:
                raise PolicyError(f"{name}: its bytes do not match its digest")

    def _entries(self) -> list[Object]:
        found = layout.parse(_read(self.path / "index.json", "index.json"), "index.json")
        return [*found.get("manifests", ())]


def _names(entry: Object) -> Iterator[str]:
    """The references that an entry of index.json answers to."""
    yield f"@{entry['digest']}"
    annotations = entry.get("annotations")
    if isinstance(annotations, dict) and NAME in annotations:
        yield f":{annotations[NAME]}"


def _read(path: Path, name: str) -> bytes:
    """The bytes of a small file; raises PolicyError."""
    with opened(path, name) as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise PolicyError(f"{name} is larger than {MAX_MANIFEST_BYTES} bytes")
    return data
