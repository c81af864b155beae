"""Whether the hosts of a vendor build answer, asked before anything is built."""

import http.client
import re
import threading
import time
import urllib.error
import urllib.request

from imagebuild.errors import FetchError

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
    files = [re.sub(r"\$\{(\w+)\}", lambda match: pinned.get(match[1], match[0]), address) for address in files]
    images = REGISTRY if re.search(r"^FROM \S+@sha256:", dockerfile, re.MULTILINE) else ()
    packages = DEBIAN if "apt-get" in dockerfile else ()
    by_host = {address.split("/")[2]: address for address in (*images, *packages, *files)}
    return tuple(by_host.values())


def check(dockerfile: str) -> None:
    """Ask every host at once, for a bounded time; raises FetchError naming the ones that do not answer."""
    wanted = addresses(dockerfile)
    faults = {address: f"{address.split('/')[2]} does not answer in {DEADLINE_SECONDS} s" for address in wanted}
    # Daemons: a look-up that never ends must not hold the answer back.
    threads = [threading.Thread(target=_ask, args=(address, faults), daemon=True) for address in wanted]
    deadline = time.monotonic() + DEADLINE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = [fault for fault in faults.values() if fault]
    if found:
        raise FetchError(f"supply vendor: {'; '.join(found)}; restore the way to it, or build with: --supply packages")


def _ask(address: str, faults: dict[str, str]) -> None:
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the addresses are ours
    host = address.split("/")[2]
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            faults[address] = ""
    except urllib.error.HTTPError as error:
        error.close()
        faults[address] = "" if error.code in ANSWERS else f"{host} answers HTTP {error.code} to {address}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        faults[address] = f"{host} does not answer ({getattr(error, 'reason', error)})"
