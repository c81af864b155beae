"""Questions over HTTP, for a bounded time and size."""

from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from worker_images.errors import NoAnswerError
from worker_images.fetch import session

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
    return urlsplit(address).hostname or address


def get(address: str, timeout: float, most: int = MOST_BYTES) -> bytes:
    """The whole body; raises NoAnswerError."""
    body = bytearray()
    try:
        with session.opened(address, timeout) as answer:
            for chunk in session.chunks(answer):
                body += chunk
                if len(body) > most:
                    break
    except NoAnswerError as error:
        words = f" ({WORDS[error.status]})" if error.status in WORDS else ""
        raise NoAnswerError(f"{host(address)}: {error}{words}", error.status) from error
    if len(body) > most:
        raise NoAnswerError(f"{host(address)}: more than {most >> 20} MiB")
    return bytes(body)


def record(address: str, model: type[Record], timeout: float) -> Record:
    """A JSON body as a record; raises NoAnswerError, also for another body."""
    body = get(address, timeout)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise NoAnswerError(
            f"{host(address)}: unexpected response, not a {model.__name__}"
        ) from error
