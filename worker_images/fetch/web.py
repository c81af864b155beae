"""HTTP requests with limits on time and size."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker_images.errors import NoResponseError
from worker_images.fetch import session

Record = TypeVar("Record", bound=BaseModel)
TIMEOUT_SECONDS = 8.0
TOTAL_SECONDS = 300.0
MAX_BYTES = 16 << 20


def get(address: str, timeout: float, most: int = MAX_BYTES) -> bytes:
    """The body at an address; raises NoResponseError."""
    found = bytearray()
    for chunk in session.body(address, timeout, TOTAL_SECONDS):
        found += chunk
        if len(found) > most:
            raise unexpected(address, f"more than {most >> 20} MiB")
    return bytes(found)


def record(address: str, model: type[Record], timeout: float) -> Record:
    """A JSON body as a record; raises NoResponseError, also for an invalid body."""
    found = get(address, timeout)
    try:
        return model.model_validate_json(found)
    except ValidationError as error:
        raise unexpected(address, f"not a {model.__name__}") from error


def unexpected(address: str, difference: str) -> NoResponseError:
    """The error for a response that differs from what was expected."""
    return NoResponseError(
        f"{session.without_credentials(address)}: unexpected response, {difference}"
    )
