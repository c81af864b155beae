"""Questions over HTTP, for a bounded time and size."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker_images.errors import NoResponseError
from worker_images.fetch import session

Record = TypeVar("Record", bound=BaseModel)
TIMEOUT_SECONDS = 8.0
TOTAL_SECONDS = 300.0
MOST_BYTES = 16 << 20


def get(address: str, timeout: float, most: int = MOST_BYTES) -> bytes:
    """The whole body; raises NoResponseError."""
    found = bytearray()
    for chunk in session.body(address, timeout, TOTAL_SECONDS):
        found += chunk
        if len(found) > most:
            raise unexpected(address, f"more than {most >> 20} MiB")
    return bytes(found)


def record(address: str, model: type[Record], timeout: float) -> Record:
    """A JSON body as a record; raises NoResponseError, also for another body."""
    found = get(address, timeout)
    try:
        return model.model_validate_json(found)
    except ValidationError as error:
        raise unexpected(address, f"not a {model.__name__}") from error


def unexpected(address: str, difference: str) -> NoResponseError:
    """An answer that is not what was wanted."""
    return NoResponseError(
        f"{session.without_credentials(address)}: unexpected response, {difference}"
    )
