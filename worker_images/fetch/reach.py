"""Questions put at once and for a bounded time, and whether a host answers."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.request import getproxies

from worker_images.errors import NoResponseError

Answer = TypeVar("Answer")
TIMEOUT_SECONDS = 8
DEADLINE_SECONDS = 15
# A registry asks who is there, a token service what is wanted: those are answers.
ANSWERS = {400, 401, 405}


def run_all(questions: Mapping[str, Callable[[], Answer]], seconds: float) -> dict[str, Answer]:
    """Put all questions at once; what is not answered in time is left out."""
    answers: dict[str, Answer] = {}

    def put(name: str, question: Callable[[], Answer]) -> None:
        answers[name] = question()

    # Daemons: a look-up that never ends must not hold the answer back.
    threads = [threading.Thread(target=put, args=each, daemon=True) for each in questions.items()]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def fault(address: str) -> str:
    """What is wrong with the host of an address; empty where it answers."""
    from worker_images.fetch import session

    try:
        with session.open_response(address, TIMEOUT_SECONDS, method="HEAD"):
            return ""
    except NoResponseError as error:
        return "" if error.status in ANSWERS else str(error)


def proxies() -> dict[str, str]:
    """The proxies that the environment names, by scheme."""
    return getproxies()
