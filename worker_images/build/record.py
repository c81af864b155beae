"""Records of builds: what was built, from which inputs, with which result."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from worker_images.errors import EngineError
from worker_images.files import write_atomic
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, read_json

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Record:
    """One finished build, stored in out/VARIANT/build.json. Sizes are in bytes.

    The image ID is the digest of the image's configuration, which names the unpacked layers; every
    engine gives the same one. The manifest digest identifies one archive; engines compress to
    different bytes. The engine ID is one of the two. The key maps each input to its digest.
    `tests_digest` is set when the tests have passed. `source_digest` is set only for a plain
    `--variant NAME`; the same command then finds this record without a plan.
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
    architecture: str
    resolved: str = ""
    tests_digest: str = ""
    source_digest: str = ""
    archive_stat: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def compression(self) -> str:
        """How the layers of the archive are compressed."""
        return self.key.get("compression", "gzip")

    def write(self, path: Path) -> None:
        """Write the record to a file, atomically."""
        write_atomic(path, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a record; None if the file is missing, malformed, or from another version."""
        try:
            return typed(cls, read_json(path))
        except (OSError, UntrustedError):
            return None


@dataclass(frozen=True)
class Outcome:
    """The result of a build command; the tag is None if the image was not tested."""

    record: Record
    tag: str | None
    built: bool
    seconds: float

    def as_data(self) -> dict[str, object]:
        """Return plain data for JSON."""
        own = {"tag": self.tag, "built": self.built, "seconds": round(self.seconds, 1)}
        return asdict(self.record) | own


def default_tag(name: str) -> str:
    """Return the name of an image that is built without --tag."""
    return f"worker:{name}"


def changed(key: Mapping[str, str], record: Record | None) -> tuple[str, ...]:
    """Return the names of the inputs that differ from a record."""
    if record is None:
        return ("no earlier build",)
    return tuple(
        sorted(name for name in {*key, *record.key} if key.get(name) != record.key.get(name))
    )


def revision(root: Path, *, in_subfolder: bool = False) -> str:
    """Return the commit of a checkout or a project, with -dirty if files were changed or added.

    It is unknown without git and outside of a clone. A project may be a subfolder of a clone; a
    checkout in a subfolder of another clone is not a part of it.
    """
    in_clone = in_subfolder or (root / ".git").exists()
    commit = _git(root, "rev-parse", "HEAD") if in_clone else ""
    if not commit:
        return UNKNOWN
    return f"{commit}-dirty" if uncommitted(root) else commit


def uncommitted(root: Path) -> list[str]:
    """The files below a folder of a clone that were changed or added and are not committed."""
    return [line[3:] for line in _git(root, "status", "--porcelain", "--", ".").splitlines()]


def _git(root: Path, *words: str) -> str:
    """Return what git prints; empty if it fails or is missing."""
    import subprocess

    # Git sets these in hooks, where they name the hook's repository.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def manifest(archive: Path) -> tuple[str, str, int]:
    """Return an archive's manifest digest, image ID, and the bytes of its compressed layers.

    Raises EngineError.
    """
    from worker_images.model.oci import manifest as reader
    from worker_images.model.oci.files import open_archive
    from worker_images.model.oci.image import ImageError

    try:
        with open_archive(archive) as files:
            found = reader.read(files)
            size = sum(files.size(name) for name in found.layers)
    except ImageError as error:
        raise EngineError(f"reading {error}; build it again with --no-cache") from error
    return found.digests[0], found.digests[-1], size


def layout(archive: Path, folder: Path) -> str:
    """Unpack an image archive into an empty folder and return the folder as a build context.

    The archive must come from this project: member names are not checked.
    """
    import tarfile

    with tarfile.open(archive) as tar:
        for member in tar:
            if file := tar.extractfile(member):
                (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / member.name).write_bytes(file.read())
    return f"oci-layout://{folder}@{manifest(archive)[0]}"


def archive_stat(archive: Path) -> str:
    """Return size and modification time of a file, which change when it is replaced."""
    found = archive.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def matches(archive: Path, record: Record) -> bool:
    """Return whether an archive is complete and the recorded one, by size and manifest."""
    try:
        same_size = archive_stat(archive).split()[0] == record.archive_stat.split()[0]
        return same_size and manifest(archive)[0] == record.manifest_digest
    except (OSError, IndexError, EngineError):
        return False


@contextlib.contextmanager
def exclusive(
    folder: Path, progress: Callable[[str], None], work: str = "building"
) -> Iterator[None]:
    """Lock a folder for one process, which does some work.

    Waits for another holder and reports its process ID and work. The kernel releases the lock of a
    process that dies.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            progress(f"waiting for {folder}: process {file.read().strip() or '?'}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} is {work}")
        file.flush()
        yield
