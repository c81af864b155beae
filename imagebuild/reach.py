"""Whether the hosts of a vendor build answer, asked before anything is built."""

import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from imagebuild.errors import FetchError

TIMEOUT_SECONDS = 8
REGISTRY = "https://registry-1.docker.io/v2/"


def addresses(dockerfile: str) -> tuple[str, ...]:
    """One address per host that a rendered Dockerfile takes something from."""
    pinned = dict(re.findall(r'^ARG (\w+)="([^"]*)"$', dockerfile, re.MULTILINE))
    files = re.findall(r"^ADD (?:--\S+ )*(https://\S+)", dockerfile, re.MULTILINE)
    files = [re.sub(r"\$\{(\w+)\}", lambda match: pinned.get(match[1], match[0]), address) for address in files]
    images = [REGISTRY] if re.search(r"^FROM \S+@sha256:", dockerfile, re.MULTILINE) else []
    by_host = {address.split("/")[2]: address for address in (*images, *files)}
    return tuple(by_host.values())


def check(dockerfile: str) -> None:
    """Ask every host at once; raises FetchError naming the ones that do not answer."""
    wanted = addresses(dockerfile)
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        faults = [fault for fault in pool.map(_fault, wanted) if fault]
    if faults:
        raise FetchError(f"supply vendor: {'; '.join(faults)}; restore the way to it, or build with: --supply packages")


def _fault(address: str) -> str:
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - https only, by the pattern above
    host = address.split("/")[2]
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        # A registry asks who is there; that is an answer.
        return "" if error.code == 401 else f"{host} answers HTTP {error.code} to {address}"
    except (OSError, ValueError) as error:
        return f"{host} does not answer ({getattr(error, 'reason', error)})"
