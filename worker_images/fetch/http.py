"""Bytes over HTTP, which get their name only when they are the ones that were wanted."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import EngineError, FetchError, NoResponseError
from worker_images.files import atomic_path

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30
TIMEOUT_SECONDS = 30.0
TOTAL_SECONDS = 900
CHUNK = 1 << 20
# What a disk refuses whatever the address, with the way out.
DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give this user access"),
}
CHANGED = (
    "these are not the pinned bytes: the mirror or a proxy changed them; ask who did and run again"
)


@dataclass(frozen=True)
class Download:
    """One file: a name for messages, its addresses, the most bytes that it has, and what is wrong
    with a copy (empty: nothing).

    Where `copy` names a file, no network is used.
    """

    what: str
    addresses: tuple[str, ...]
    most: int
    fault: Callable[[Path], str]
    step: str
    copy: Path | None = None


class _ChangedError(FetchError):
    """All bytes came, and they are not those that were wanted."""


def ensure(wanted: Download, path: Path) -> Path:
    """Have the file under its name, checked again at each use; raises FetchError."""
    if path.is_file() and not wanted.fault(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if wanted.copy:
        _copied(wanted, wanted.copy, path)
    else:
        _fetched(wanted, path)
    return path


def _copied(wanted: Download, source: Path, path: Path) -> None:
    try:
        with source.open("rb") as stream:
            _put(wanted, iter(lambda: stream.read(CHUNK), b""), path, str(source))
    except OSError as error:
        reason = f"{source}: {error.strerror}"
        raise FetchError(f"copying {wanted.what}: {reason}; {wanted.step}") from error
    except _ChangedError as error:
        raise FetchError(f"copying {wanted.what}: {error}; {wanted.step}") from error


def _fetched(wanted: Download, path: Path) -> None:
    """From the first address that gives the file; raises FetchError with what each answered."""
    if not wanted.addresses:
        raise FetchError(f"fetching {wanted.what}: no address to fetch it from; {wanted.step}")
    causes, changed = [], False
    for address in wanted.addresses:
        try:
            _from(wanted, address, path)
        except (NoResponseError, _ChangedError) as error:
            changed = isinstance(error, _ChangedError)
            causes.append(str(error))
        else:
            return
    step = CHANGED if changed else wanted.step
    raise FetchError(f"fetching {wanted.what}: {'; '.join(causes)}; {step}")


def _from(wanted: Download, address: str, path: Path) -> None:
    """Fetch from one address; raises the error of the last attempt.

    Requests are repeated by urllib3; a body that breaks off or is wrong is fetched again here.
    """
    from worker_images.fetch import session

    retries = session.retrying(ATTEMPTS - 1, PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    for attempt in range(1, ATTEMPTS + 1):
        body = session.body(address, TIMEOUT_SECONDS, TOTAL_SECONDS, retries)
        try:
            with contextlib.closing(body):
                _put(wanted, body, path, session.without_credentials(address))
        except (NoResponseError, _ChangedError) as error:
            began = isinstance(error, _ChangedError) or error.status == session.OK
            if not began or attempt == ATTEMPTS:
                raise
        else:
            return
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _put(wanted: Download, chunks: Iterable[bytes], path: Path, origin: str) -> None:
    """Write to a temporary name, at most the bytes that are due, and rename when nothing is
    wrong.
    """
    received = 0
    try:
        with atomic_path(path) as part:
            with part.open("wb") as file:
                for chunk in chunks:
                    received += file.write(chunk)
                    if received > wanted.most:
                        break
                file.flush()
                os.fsync(file.fileno())
            if fault := wanted.fault(part):
                page = part.read_bytes()[:512].lstrip()[:1] == b"<"
                hint = "; it looks like HTML: a proxy or a portal answered" if page else ""
                raise _ChangedError(f"{origin}: {fault}{hint}")
    except OSError as error:
        fix = DISK.get(error.errno or 0, "check that disk")
        raise EngineError(f"{path.parent}: {error.strerror}; {fix} and run again") from error


def ensure_all(files: Sequence[tuple[Download, Path]]) -> list[Path]:
    """Have several at once; raises FetchError for the first that fails."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda each: ensure(*each), files))
