"""The files of an image archive, by name."""

import contextlib
import hashlib
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from worker_images.files import named_errors
from worker_images.model.oci import tar
from worker_images.model.oci.image import CHUNK, Entry, ImageError
from worker_images.model.oci.inflate import GZIP, Meter
from worker_images.untrusted import MAX_JSON_BYTES, printable

# The name of a blob: of an OCI archive, with its digest.
BLOBS = "blobs/sha256/"


@dataclass(frozen=True)
class Files:
    """An open archive and its files. `archive` is plain; the file on disk may be compressed."""

    archive: IO[bytes]
    members: Mapping[str, Entry]
    size_on_disk: int

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def size(self, name: str) -> int:
        """The size of a file in bytes; raises ImageError if it is missing."""
        return self._file(name).size

    def chunks(self, name: str) -> Iterator[bytes]:
        """The contents of a file; raises ImageError if it is missing."""
        entry = self._file(name)
        for begin in range(0, entry.size, CHUNK):
            self.archive.seek(entry.offset + begin)
            yield self.archive.read(min(CHUNK, entry.size - begin))

    def read(self, name: str) -> bytes:
        """The contents of a small file, which is not a link; raises ImageError."""
        if name in self.members and self.members[name].kind != "file":
            raise ImageError(f"{printable(name)}: not a file")
        if self.size(name) > MAX_JSON_BYTES:
            raise ImageError(
                f"{printable(name)}: {self.size(name)} bytes, at most {MAX_JSON_BYTES} are read"
            )
        return b"".join(self.chunks(name))

    def blob(self, digest: str) -> bytes:
        """The contents of a small blob, which match its digest; raises ImageError."""
        data = self.read(BLOBS + digest.removeprefix("sha256:"))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ImageError(f"blob {printable(digest)}: its bytes do not match its digest")
        return data

    def open(self, name: str) -> IO[bytes]:
        """The archive at the beginning of a file; raises ImageError if it is missing."""
        self.archive.seek(self._file(name).offset)
        return self.archive

    def _file(self, name: str) -> Entry:
        found = self.members.get(name)
        if found and found.kind == "link":
            # Docker before 25 writes a link for a layer that two images share.
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), found.target))
            found = self.members.get(target)
        if found is None or found.kind != "file":
            raise ImageError(f"the archive has no file {printable(name)}")
        return found


@contextlib.contextmanager
def open_archive(archive: Path) -> Iterator[Files]:
    """Open an archive, compressed or not; raises ImageError, which names it."""
    with archive.open("rb") as stream, contextlib.ExitStack() as held:
        try:
            is_gzip = stream.read(len(GZIP)) == GZIP
            stream.seek(0)
            plain = held.enter_context(_inflated(stream)) if is_gzip else stream
            yield Files(plain, _members(plain), os.fstat(stream.fileno()).st_size)
        except ImageError as error:
            raise ImageError(f"{printable(str(archive))}: {error}") from error


@contextlib.contextmanager
def _inflated(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    meter = Meter(os.fstat(stream.fileno()).st_size)
    with tempfile.TemporaryFile() as plain:
        with named_errors(Path(tempfile.gettempdir())):
            plain.writelines(meter.inflated(iter(lambda: stream.read(CHUNK), b"")))
            plain.seek(0)
        yield plain


def _members(stream: IO[bytes]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    try:
        entries = list(tar.read(stream))
    except ImageError as error:
        raise ImageError(f"not an image archive: {error}") from error
    for entry in entries:
        name = entry.path[1:]
        if name in found:
            raise ImageError(f"two files {printable(name)}; engines may read either")
        if entry.kind != "folder":
            found[name] = entry
    return found
