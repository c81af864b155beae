"""Whether the hosts that a build needs answer, all asked at once and for a bounded time."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from urllib.request import getproxies

from worker_images.errors import FetchError, NoAnswerError

Answer = TypeVar("Answer")
TIMEOUT_SECONDS = 8
DEADLINE_SECONDS = 15
# What an image name and apt-get mean, by the hosts that they are asked of.
REGISTRY = ("https://registry-1.docker.io/v2/", "https://auth.docker.io/token")
DEBIAN = ("http://deb.debian.org/debian/",)
# A registry asks who is there, a token service what is wanted: those are answers.
ANSWERS = {400, 401, 405}


def addresses(dockerfile: str) -> tuple[str, ...]:
    """One address per host that a rendered Dockerfile takes something from."""
    pinned = dict(re.findall(r'^ARG (\w+)="([^"]*)"$', dockerfile, re.MULTILINE))
    files = re.findall(r"^ADD (?:--\S+ )*(https://\S+)", dockerfile, re.MULTILINE)
    files = [
        re.sub(r"\$\{(\w+)\}", lambda match: pinned.get(match[1], match[0]), address)
        for address in files
    ]
    images = REGISTRY if re.search(r"^FROM \S+@sha256:", dockerfile, re.MULTILINE) else ()
    packages = DEBIAN if "apt-get" in dockerfile else ()
    by_host = {address.split("/")[2]: address for address in (*images, *packages, *files)}
    return tuple(by_host.values())


def check(dockerfile: str) -> None:
    """Ask every host of a vendor build; raises FetchError naming the ones that do not answer."""
    wanted = addresses(dockerfile)
    answers = ask({address: partial(fault, address) for address in wanted}, DEADLINE_SECONDS)
    found = [
        answers.get(address, f"{address} does not answer in {DEADLINE_SECONDS} s")
        for address in wanted
    ]
    if any(found):
        raise FetchError(
            f"supply vendor: {'; '.join(filter(None, found))}; restore the way to it, or build"
            " with: --supply packages"
        )


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
    from worker_images.fetch import session

    try:
        with session.opened(address, TIMEOUT_SECONDS, method="HEAD"):
            return ""
    except NoAnswerError as error:
        return "" if error.status in ANSWERS else str(error)


def proxies() -> dict[str, str]:
    """The proxies that the environment names, by scheme."""
    return getproxies()
