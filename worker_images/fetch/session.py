"""Requests over HTTP with the reader's proxies, certificates and passwords.

Importing requests takes a tenth of a second: modules that every command loads import this one late.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker_images.errors import NoAnswerError

MOST_REDIRECTS = 5
CHUNK = 1 << 20
# Hosts that others may redirect to, separated by commas: for a mirror that keeps its files
# elsewhere.
REDIRECT_HOSTS = "WORKER_IMAGES_REDIRECT_HOSTS"
NO_RETRIES = urllib3.Retry(0, read=False)


class Session(requests.Session):
    """Follows few redirects, to the same host or to one that the reader allows, never from https to
    http.
    """

    def __init__(self, retries: urllib3.Retry) -> None:
        super().__init__()
        self.max_redirects = MOST_REDIRECTS
        # Digests are of the bytes as they lie on the server.
        self.headers["Accept-Encoding"] = "identity"
        # The machine's certificates, where REQUESTS_CA_BUNDLE does not name others.
        paths = ssl.get_default_verify_paths()
        self.verify = paths.cafile or paths.capath or True
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=retries))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads; raises NoAnswerError where it must not be followed."""
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        before, after = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
        allowed = {before.hostname, *map(str.strip, os.environ.get(REDIRECT_HOSTS, "").split(","))}
        if after.hostname not in allowed or after.scheme not in {"https", before.scheme}:
            raise NoAnswerError(
                f"redirected to {after.scheme}://{after.hostname}, which is not allowed; to allow"
                f" it, add the host to {REDIRECT_HOSTS}",
                resp.status_code,
            )
        return target


@contextlib.contextmanager
def opened(
    address: str, timeout: float, retries: urllib3.Retry = NO_RETRIES, method: str = "GET"
) -> Iterator[requests.Response]:
    """A successful answer, whose body is read in the block; raises NoAnswerError.

    An error in the block that is not of the network passes through.
    """
    status = 0
    try:
        with (
            Session(retries) as session,
            session.request(
                method, address, stream=True, timeout=timeout, allow_redirects=method == "GET"
            ) as answer,
        ):
            status = answer.status_code
            if not answer.ok:
                raise NoAnswerError(f"HTTP {status}", status)
            yield answer
    except requests.TooManyRedirects as error:
        raise NoAnswerError(f"more than {MOST_REDIRECTS} redirects", 302) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise NoAnswerError(cause(error), status) from error


def chunks(answer: requests.Response) -> Iterator[bytes]:
    """A body's bytes as they come and as they were sent."""
    while chunk := answer.raw.read1(CHUNK, decode_content=False):
        yield chunk


def cause(error: BaseException) -> str:
    """The system's words for a failure: those of libraries quote addresses, and their passwords."""
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    for each in reversed(chain):
        if isinstance(each, OSError) and not isinstance(each, requests.RequestException):
            return each.strerror or str(each)
    if any(isinstance(each, urllib3.exceptions.ProtocolError) for each in chain):
        return "the connection broke off"
    return f"{type(error).__name__}: the address, a proxy variable or the answer is malformed"
