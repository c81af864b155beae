"""Seals of test reports: HMAC-SHA256 in a file beside the report.

A seal shows that a report is the file that a test run wrote: it finds edits and mix-ups. It does
not protect against whoever can read the key, and can therefore seal any file.
"""

import contextlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from worker_images import files
from worker_images.errors import EngineError

# The key of a GPU kit, in the kit and beside its archive in out/VARIANT.
KIT_KEY = "gpu-kit.key"
# The key of the reports that a user's checkouts write, in the cache.
OWN_KEY = "results.key"
KEY = re.compile("[0-9a-f]{64}")
MAX_BYTES = 1024


def own_key() -> bytes:
    """The user's key, which is created if it does not exist; raises EngineError."""
    return create(files.CACHE / OWN_KEY)


def key_of(root: Path) -> bytes:
    """The key that seals reports in a kit, or else in a checkout; raises EngineError."""
    in_kit = root / KIT_KEY
    return _read(in_kit) if in_kit.exists() else own_key()


def known_keys(root: Path, others: Iterable[Path] = ()) -> tuple[bytes, ...]:
    """The user's key and those of the checkout's kits, as far as they exist, and others.

    Raises EngineError.
    """
    paths = [files.CACHE / OWN_KEY, *sorted(root.glob(f"out/*/{KIT_KEY}"))]
    return tuple(_read(path) for path in (*filter(Path.exists, paths), *others))


def create(path: Path) -> bytes:
    """Read a key; one that does not exist is created, readable by its owner alone.

    Two processes that create it at the same time get the same key. Raises EngineError.
    """
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise EngineError(
            f"{path}: the key of test reports cannot be created: {error.strerror}"
        ) from error
    return _read(path)


def _create(path: Path) -> None:
    """Write a new key, unless another process has written one meanwhile; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{secrets.token_hex(6)}-{path.name}")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def beside(report: Path) -> Path:
    """The path of a report's seal."""
    return report.with_name(f"{report.name}.seal")


def write(report: Path, key: bytes) -> None:
    """Seal a report; raises OSError."""
    files.write_atomic(beside(report), f"{_seal(report.read_bytes(), key)}\n")


def fault(report: Path, data: bytes, keys: Iterable[bytes]) -> str:
    """Return why the bytes of a report are not those that were sealed; empty if they are."""
    path = beside(report)
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES).strip()
    except OSError as error:
        return f"no seal {path.name}: {error.strerror}"
    if not any(hmac.compare_digest(found, _seal(data, key).encode()) for key in keys):
        return (
            f"the seal {path.name} does not match: the report was edited, or another GPU kit or"
            " user's checkout wrote it"
        )
    return ""


def _seal(data: bytes, key: bytes) -> str:
    return f"hmac-sha256 {hmac.digest(key, data, 'sha256').hex()}"


def _read(path: Path) -> bytes:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: the key of test reports cannot be read: {error}") from error
    if not KEY.fullmatch(text):
        raise EngineError(f"{path}: not a key of test reports; remove it and run the tests again")
    return bytes.fromhex(text)
