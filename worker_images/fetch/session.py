"""Requests over HTTP with the reader's proxies, certificates and passwords.

Importing requests takes a tenth of a second: modules that every command loads import this one late.
"""

import contextlib
import os
import ssl
import time
from collections.abc import Generator, Iterator
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker_images.errors import NoResponseError

MOST_REDIRECTS = 5
CHUNK = 1 << 20
OK = 200
# Hosts that others may redirect to, separated by commas: for a mirror that keeps its files
# elsewhere.
REDIRECT_HOSTS = "WORKER_IMAGES_REDIRECT_HOSTS"
NO_RETRIES = urllib3.Retry(0, read=False)


class RefusedError(requests.RequestException):
    """A redirect leads where it must not; the message is ours."""


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
        """Where a redirect leads; raises RefusedError where it must not be followed."""
        target = super().get_redirect_target(resp)
        before, after = urlsplit(resp.url), urlsplit(urljoin(resp.url, target or ""))
        allowed = {before.hostname, *map(str.strip, os.environ.get(REDIRECT_HOSTS, "").split(","))}
        if after.hostname not in allowed or after.scheme not in {"https", before.scheme}:
            raise RefusedError(
                f"redirected to {after.scheme}://{after.hostname}, which is not allowed; to allow"
                f" it, add the host to {REDIRECT_HOSTS}"
            )
        return target


@contextlib.contextmanager
def open_response(
    address: str, timeout: float, retries: urllib3.Retry = NO_RETRIES, method: str = "GET"
) -> Iterator[requests.Response]:
    """A successful answer, whose body is read in the block.

    Raises NoResponseError with the answer's status, 0 without one.
    """
    status, follow = 0, method == "GET"
    try:
        with (
            Session(retries) as session,
            session.request(
                method, address, stream=True, timeout=timeout, allow_redirects=follow
            ) as answer,
        ):
            status = answer.status_code
            if answer.ok:
                yield answer
                return
        reason = f"HTTP {status}"
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        reason = cause(error)
    raise NoResponseError(f"{without_credentials(address)}: {reason}", status)


def without_credentials(address: str) -> str:
    """An address without the name and password that it may hold."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def body(
    address: str, timeout: float, seconds: float, retries: urllib3.Retry = NO_RETRIES
) -> Generator[bytes]:
    """The bytes behind an address as they come, in bounded time; raises NoResponseError."""
    deadline = time.monotonic() + seconds
    with open_response(address, timeout, retries) as answer:
        while chunk := answer.raw.read1(CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise NoResponseError(
                    f"{without_credentials(address)}: incomplete after {seconds} s", OK
                )


def retrying(times: int, pause: float, longest: int) -> urllib3.Retry:
    """Repeat a request that gets no answer, or one that may be another a moment later."""
    return urllib3.Retry(
        times,
        status_forcelist={429, *range(500, 600)},
        raise_on_status=False,
        backoff_factor=pause,
        backoff_max=longest,
        retry_after_max=longest,
    )


def cause(error: BaseException) -> str:
    """The system's words for a failure: those of libraries quote addresses, and their passwords."""
    if isinstance(error, (RefusedError, requests.TooManyRedirects)):
        return str(error)
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    for each in reversed(chain):
        if isinstance(each, OSError) and not isinstance(each, requests.RequestException):
            return each.strerror or str(each)
    if any(isinstance(each, urllib3.exceptions.ProtocolError) for each in chain):
        return "the connection broke off"
    return f"{type(error).__name__}: the address, a proxy variable or the answer is malformed"
