"""Questions over HTTP, for a bounded time and size; every way to fail is told in words."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from worker_images.errors import NoAnswerError
from worker_images.fetch.http import request

Record = TypeVar("Record", bound=BaseModel)
TIMEOUT_SECONDS = 8.0
MOST_BYTES = 16 << 20
WORDS = {
    401: "log in first",
    403: "forbidden",
    404: "not there",
    410: "gone",
    429: "too many requests, try later",
}


def host(address: str) -> str:
    """The host of an address, without a user's name and password."""
    parts = urlsplit(address)
    return parts.hostname or address


def get(
    address: str, timeout: float, most: int = MOST_BYTES, headers: Mapping[str, str] | None = None
) -> bytes:
    """The whole body; raises NoAnswerError."""
    return _ask(address, timeout, "GET", most, headers)[1]


def head(address: str, timeout: float, headers: Mapping[str, str] | None = None) -> Message:
    """The headers alone; raises NoAnswerError."""
    return _ask(address, timeout, "HEAD", 0, headers)[0]


def record(
    address: str, model: type[Record], timeout: float, headers: Mapping[str, str] | None = None
) -> Record:
    """A JSON body as a record; raises NoAnswerError, also for what is none."""
    body = get(address, timeout, headers=headers)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise NoAnswerError(f"{host(address)} answers what is no {model.__name__}") from error


def size(address: str, timeout: float) -> int | None:
    """What a file weighs, where its host tells."""
    try:
        told = head(address, timeout).get("Content-Length", "")
    except NoAnswerError:
        return None
    return int(told) if told.isdecimal() else None


def _ask(
    address: str, timeout: float, method: str, most: int, headers: Mapping[str, str] | None
) -> tuple[Message, bytes]:
    name = host(address)
    try:
        with urllib.request.urlopen(request(address, method, headers), timeout=timeout) as answer:  # noqa: S310
            body = answer.read(most + 1) if method == "GET" else b""
            told = answer.headers.get("Content-Length", "")
    except urllib.error.HTTPError as error:
        error.close()
        words = WORDS.get(error.code, "")
        raise NoAnswerError(
            f"{name} answers HTTP {error.code}" + (f" ({words})" if words else ""), error.code
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        # Only what a system call said: other words quote the address, and the password in it.
        reason = (
            getattr(error, "reason", error) if isinstance(error, OSError) else type(error).__name__
        )
        cause = getattr(reason, "strerror", None) or reason
        raise NoAnswerError(f"{name} does not answer ({cause})") from error
    if len(body) > most:
        raise NoAnswerError(f"{name} answers more than {most >> 20} MiB")
    if method == "GET" and told.isdecimal() and len(body) < int(told):
        raise NoAnswerError(f"{name} cut its answer short")
    return answer.headers, body
