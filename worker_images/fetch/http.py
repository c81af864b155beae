"""Downloads over HTTP; a file gets its final name only after it was checked."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
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
# Errors of a disk, which do not depend on the address, with their fixes.
DISK_FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give this user access"),
}
CHANGED = (
    "these are not the pinned bytes: the mirror or a proxy changed them; find out who did and run"
    " again"
)


@dataclass(frozen=True)
class Download:
    """A file to download, or to copy from `copy` without a network.

    `name` is used in messages, `most` is the largest allowed size in bytes. `fault` returns what is
    wrong with a file, empty if nothing is; `step` is the next step after an error. `redirects` are
    hosts to which the addresses may redirect.
    """

    name: str
    addresses: tuple[str, ...]
    most: int
    fault: Callable[[Path], str]
    step: str
    copy: Path | None = None
    redirects: tuple[str, ...] = ()


class _ChangedError(FetchError):
    """The download is complete, but its bytes are wrong."""


def ensure(file: Download, path: Path) -> Path:
    """Check the file at a path, and download it if it is missing or wrong; raises FetchError."""
    if path.is_file() and not file.fault(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.copy:
        _copy(file, file.copy, path)
    else:
        _fetch(file, path)
    return path


def _copy(file: Download, source: Path, path: Path) -> None:
    try:
        with source.open("rb") as stream:
            _write(file, iter(lambda: stream.read(CHUNK), b""), path, str(source))
    except OSError as error:
        reason = f"{source}: {error.strerror}"
        raise FetchError(f"copying {file.name}: {reason}; {file.step}") from error
    except _ChangedError as error:
        raise FetchError(f"copying {file.name}: {error}; {file.step}") from error


def _fetch(file: Download, path: Path) -> None:
    """Fetch from the first address that works; raises FetchError with the error of each."""
    if not file.addresses:
        raise FetchError(f"fetching {file.name}: no address to fetch it from; {file.step}")
    causes, changed = [], False
    for address in file.addresses:
        try:
            _fetch_from(file, address, path)
        except (NoResponseError, _ChangedError) as error:
            changed = isinstance(error, _ChangedError)
            causes.append(str(error))
        else:
            return
    step = CHANGED if changed else file.step
    raise FetchError(f"fetching {file.name}: {'; '.join(causes)}; {step}")


def _fetch_from(file: Download, address: str, path: Path) -> None:
    """Fetch from one address; raises the error of the last attempt.

    urllib3 repeats requests; this function repeats those whose body is incomplete or wrong.
    """
    from worker_images.fetch import session

    retries = session.retry_policy(ATTEMPTS - 1, PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    for attempt in range(1, ATTEMPTS + 1):
        body = session.body(address, TIMEOUT_SECONDS, TOTAL_SECONDS, retries, file.redirects)
        try:
            with contextlib.closing(body):
                _write(file, body, path, session.without_credentials(address))
        except (NoResponseError, _ChangedError) as error:
            has_body = isinstance(error, _ChangedError) or error.status == session.OK
            if not has_body or attempt == ATTEMPTS:
                raise
        else:
            return
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _write(file: Download, chunks: Iterable[bytes], path: Path, origin: str) -> None:
    """Write to a temporary file until it is too large, check it, and rename it."""
    received = 0
    try:
        with atomic_path(path) as part:
            with part.open("wb") as stream:
                for chunk in chunks:
                    received += stream.write(chunk)
                    if received > file.most:
                        break
                stream.flush()
                os.fsync(stream.fileno())
            if fault := file.fault(part):
                is_page = part.read_bytes()[:512].lstrip()[:1] == b"<"
                hint = "; it looks like HTML from a proxy or a login page" if is_page else ""
                raise _ChangedError(f"{origin}: {fault}{hint}")
    except OSError as error:
        fix = DISK_FIXES.get(error.errno or 0, "check that disk")
        raise EngineError(f"{path.parent}: {error.strerror}; {fix} and run again") from error


def ensure_all(files: Sequence[tuple[Download, Path]]) -> list[Path]:
    """Download several files in parallel; raises FetchError for the first that fails."""
    # Imported here: `--print plan` does not download, and this import is slow.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda each: ensure(*each), files))
