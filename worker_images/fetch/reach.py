"""Checks that run in parallel with a deadline, and a check that a host responds."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.request import getproxies

from worker_images.errors import NoResponseError

Value = TypeVar("Value")
TIMEOUT_SECONDS = 8
DEADLINE_SECONDS = 15
# Registries and token services respond so to a request without credentials or parameters.
RESPONDS = {400, 401, 405}


def run_all(functions: Mapping[str, Callable[[], Value]], seconds: float) -> dict[str, Value]:
    """Run all functions in parallel; those that do not return in time are left out."""
    values: dict[str, Value] = {}

    def run(name: str, function: Callable[[], Value]) -> None:
        values[name] = function()

    # Daemon threads: a look-up that never ends must not delay the result.
    threads = [threading.Thread(target=run, args=each, daemon=True) for each in functions.items()]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(values)


def fault(address: str) -> str:
    """The error of a request to an address; empty if its host responds."""
    from worker_images.fetch import session

    try:
        with session.open_response(address, TIMEOUT_SECONDS, method="HEAD"):
            return ""
    except NoResponseError as error:
        return "" if error.status in RESPONDS else str(error)


def proxies() -> dict[str, str]:
    """The proxies of the environment, by scheme."""
    return getproxies()
