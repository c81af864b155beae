"""Bytes over HTTP, which get their name only when they are the ones that were wanted."""

import base64
import errno
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from worker_images.errors import EngineError, FetchError
from worker_images.files import whole

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
TIMEOUT_SECONDS = 30
TOTAL_SECONDS = 900
CHUNK = 1 << 20
MOST_REDIRECTS = 5
# What a disk refuses whatever the address, with the way out.
DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give this user access"),
}
CHANGED = (
    "these are not the pinned bytes: the mirror or a proxy changed them; ask who did and run again"
)
# Hosts that others may send us to, separated by commas: a mirror of one's own that keeps its files
# elsewhere.
REDIRECT_HOSTS = "WORKER_IMAGES_REDIRECT_HOSTS"


@dataclass(frozen=True)
class Wanted:
    """One file: what it is in words, where it may lie, most bytes that it has, and what is wrong
    with a copy (empty: nothing).
    """

    what: str
    addresses: tuple[str, ...]
    most: int
    fault: Callable[[Path], str]
    step: str


class _RedirectError(FetchError):
    """A host sends us where nobody allowed; to ask again would not help."""


class _ChangedError(FetchError):
    """All bytes came, and they are not those that were wanted."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow few redirects, to the same host or to one that the reader allows, never from https to
    http.
    """

    max_redirections = MOST_REDIRECTS
    max_repeats = 1

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,  # noqa: ANN401 - urllib's own signature
        newurl: str,
    ) -> Any:  # noqa: ANN401
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        allowed = {before.hostname, *map(str.strip, os.environ.get(REDIRECT_HOSTS, "").split(","))}
        if after.hostname not in allowed or after.scheme not in {"https", before.scheme}:
            raise _RedirectError(
                f"it sends us to {after.scheme}://{after.hostname}; if that is meant, name the host"
                f" in {REDIRECT_HOSTS}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def have(wanted: Wanted, path: Path) -> Path:
    """Have the file under its name, checked again at each use; raises FetchError."""
    if path.is_file() and not wanted.fault(path):
        return path
    if not wanted.addresses:
        raise FetchError(f"fetching {wanted.what}: no address to fetch it from; {wanted.step}")
    causes, changed, address = [], False, ""
    for address in wanted.addresses:
        cause, changed = _from(wanted, address, path)
        if not cause:
            return path
        causes.append(cause)
    # A folder that was filled wrong is filled again.
    step = CHANGED if changed and not address.startswith("file:") else wanted.step
    raise FetchError(f"fetching {wanted.what}: {'; '.join(causes)}; {step}")


def _from(wanted: Wanted, address: str, path: Path) -> tuple[str, bool]:
    """Why one address does not give the file, empty where it does.

    And whether it gives other bytes.
    """
    cause = ""
    for attempt in range(1, ATTEMPTS + 1):
        changed = False
        try:
            _stream(wanted, address, path)
        except urllib.error.HTTPError as error:
            error.close()
            cause, pause = f"HTTP {error.code}", _asked_pause(error)
            if error.code < 500 and error.code != 429:
                break
        except _RedirectError as error:
            cause = str(error)
            break
        except _ChangedError as error:
            cause, pause, changed = str(error), 0.0, True
        except (OSError, http.client.HTTPException, ValueError) as error:
            _check_disk(error, path.parent)
            cause, pause = str(getattr(error, "reason", error)) or type(error).__name__, 0.0
        else:
            return "", False
        # A folder says the same however often it is asked.
        if address.startswith("file:"):
            break
        time.sleep(max(pause, PAUSE_SECONDS * 2 ** (attempt - 1)) if attempt < ATTEMPTS else 0)
    return f"{shown(address)}: {cause}", changed


def _check_disk(error: Exception, folder: Path) -> None:
    """Raise EngineError where the disk failed.

    What failed to connect has no number, because urllib wraps it.
    """
    if isinstance(error, OSError) and error.errno in DISK:
        raise EngineError(
            f"{folder}: {os.strerror(error.errno)}; {DISK[error.errno]} and run again"
        ) from error


def shown(address: str) -> str:
    """An address without the name and password that it may hold."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def request(
    address: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> urllib.request.Request:
    """A password in an address travels as a header, as pip and go send it, and to no other host
    that an answer points to.
    """
    parts = urlsplit(address)
    # Callers' addresses are pinned.
    asked = urllib.request.Request(shown(address), method=method, headers=dict(headers or {}))  # noqa: S310
    if parts.username is not None:
        plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        asked.add_unredirected_header(
            "Authorization", "Basic " + base64.b64encode(plain.encode()).decode()
        )
    return asked


def _asked_pause(error: urllib.error.HTTPError) -> float:
    asked = error.headers.get("Retry-After", "") if error.headers else ""
    return min(float(asked), LONGEST_PAUSE_SECONDS) if asked.isascii() and asked.isdigit() else 0.0


def _stream(wanted: Wanted, address: str, path: Path) -> None:
    """Write to a temporary name, at most the bytes that are due and in bounded time, and rename
    when nothing is wrong.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline, received = time.monotonic() + TOTAL_SECONDS, 0
    opener = urllib.request.build_opener(_Redirects)
    with whole(path) as part:
        with (
            opener.open(request(address), timeout=TIMEOUT_SECONDS) as answer,
            part.open("wb") as file,
        ):
            while received <= wanted.most and (chunk := answer.read1(CHUNK)):
                received += file.write(chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not whole after {TOTAL_SECONDS} s")
            if received <= wanted.most and getattr(answer, "length", None):
                raise ConnectionError(f"broken off after {received} bytes")
            file.flush()
            os.fsync(file.fileno())
        if fault := wanted.fault(part):
            page = (
                "; it looks like HTML: a proxy or a portal answered"
                if part.read_bytes()[:512].lstrip()[:1] == b"<"
                else ""
            )
            raise _ChangedError(f"{fault}{page}")


def all_of(files: Sequence[tuple[Wanted, Path]]) -> list[Path]:
    """Have several at once; raises FetchError for the first that cannot be had."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda each: have(*each), files))
