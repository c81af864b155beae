"""Whether the hosts that a build needs answer, all asked at once and for a bounded time."""

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

Answer = TypeVar("Answer")
TIMEOUT_SECONDS = 8
DEADLINE_SECONDS = 15
# A registry asks who is there, a token service what is wanted: those are answers.
ANSWERS = {400, 401, 405}


def ask(questions: Mapping[str, Callable[[], Answer]], seconds: float) -> dict[str, Answer]:
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
    host = urlsplit(address).netloc or address
    try:
        # The addresses are ours.
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return "" if error.code in ANSWERS else f"{host} answers HTTP {error.code} to {address}"
    except OSError as error:
        return f"{host} does not answer ({getattr(error, 'reason', error)})"
    except (ValueError, http.client.HTTPException) as error:
        # Their words quote the proxy's address, and the password in it.
        return (
            f"{host} does not answer ({type(error).__name__}: the address, a proxy variable or the"
            " answer is malformed)"
        )
