"""What was built, from what, and whether it was tested: out/VARIANT/build.json."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from worker_images.errors import EngineError
from worker_images.files import write_atomic

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Record:
    """One finished build, with sizes in bytes.

    The image ID is the digest of the image's configuration, which names its unpacked layers: it is
    the same from every engine. The manifest digest is that of one archive, whose compressed bytes
    may differ between engines. The engine's own id is one of the two. The key holds the digest of
    each input. The digest of the tests is set once they have passed; that of the source only for
    `--variant NAME` alone, so that the same command can be answered without a plan.
    """

    variant: str
    source: str
    versions: Mapping[str, str]
    key: Mapping[str, str]
    image_id: str
    manifest_digest: str
    size: int
    compressed_size: int
    engine_id: str
    engine: str
    seconds: float
    revision: str
    resolved: str | None = None
    tests_digest: str = ""
    source_digest: str = ""
    archive_stat: str = ""
    lacks: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Replace the file as a whole."""
        write_atomic(path, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record, or None where there is none that this version wrote."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


@dataclass(frozen=True)
class Outcome:
    """The result of a command; without a tag the image was not tested."""

    record: Record
    tag: str | None
    built: bool
    seconds: float

    def as_data(self) -> dict[str, object]:
        """Plain data for JSON."""
        own = {"tag": self.tag, "built": self.built, "seconds": round(self.seconds, 1)}
        return asdict(self.record) | own


def default_tag(name: str) -> str:
    """The name of an image where --tag names none."""
    return f"worker:{name}"


def changed(key: Mapping[str, str], record: Record | None) -> tuple[str, ...]:
    """The inputs that differ from the record's, by name."""
    if record is None:
        return ("no earlier build",)
    return tuple(
        sorted(name for name in {*key, *record.key} if key.get(name) != record.key.get(name))
    )


def revision(root: Path) -> str:
    """What git calls the checkout.

    Unknown without git, and in a folder that is no clone, also inside another's.
    """
    import subprocess

    # A hook of another repository names that one.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        ).stdout.strip()
    except FileNotFoundError:
        return UNKNOWN
    return found if (root / ".git").exists() and found else UNKNOWN


def manifest(archive: Path) -> tuple[str, str, int]:
    """Manifest digest, image ID and bytes of compressed layers of an image archive.

    Raises EngineError.
    """
    import tarfile

    def member(name: str) -> dict[str, Any]:
        stream = tar.extractfile(name)
        return dict(json.load(stream)) if stream else {}

    try:
        with tarfile.open(archive, encoding="utf-8") as tar:
            digest = member("index.json")["manifests"][0]["digest"]
            data = member(f"blobs/sha256/{digest.removeprefix('sha256:')}")
    except (KeyError, IndexError, TypeError, ValueError, tarfile.TarError) as error:
        raise EngineError(
            f"reading {archive}: not an OCI archive: {error}; build it again with --no-cache"
        ) from error
    return digest, data["config"]["digest"], sum(layer["size"] for layer in data["layers"])


def layout(archive: Path, folder: Path) -> str:
    """An image archive that this project built, as a build context to begin from: its files below
    an empty folder.
    """
    import tarfile

    with tarfile.open(archive) as tar:
        for member in tar:
            if file := tar.extractfile(member):
                (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / member.name).write_bytes(file.read())
    return f"oci-layout://{folder}@{manifest(archive)[0]}"


def stamp(archive: Path) -> str:
    """Size and time of a file: enough to see that nobody put another in its place."""
    found = archive.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def is_of(archive: Path, record: Record) -> bool:
    """Whether an archive is there, whole, and the recorded one: a file of its size, with its
    manifest.
    """
    try:
        same_size = stamp(archive).split()[0] == record.archive_stat.split()[0]
        return same_size and manifest(archive)[0] == record.manifest_digest
    except (OSError, IndexError, EngineError):
        return False


@contextlib.contextmanager
def exclusive(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder against a second build.

    Waits, and says for whom. The kernel frees it when a holder dies.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            progress(f"waiting: process {file.read().strip() or '?'} builds in {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
