"""HTTP requests with the proxies, certificates and passwords of the environment.

Importing requests takes 0.1 s, so modules that every command loads import this one late.
"""

import contextlib
import os
import re
import ssl
import time
from collections.abc import Collection, Generator, Iterator, Mapping
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker_images.errors import NoResponseError
from worker_images.fetch import access

MAX_REDIRECTS = 5
CHUNK = 1 << 20
OK = 200
UNAUTHORIZED = 401
LOGIN = " (the host needs a login: add it to ~/.netrc or to /etc/apt/auth.conf.d)"
# Errors of certificates that a wrong clock causes, too.
CLOCK = re.compile("certificate is not yet valid|certificate has expired")
# Hosts to which redirects are allowed, separated by commas, for a mirror with files on other hosts.
REDIRECT_HOSTS = "WORKER_IMAGES_REDIRECT_HOSTS"
NO_RETRIES = urllib3.Retry(0, read=False)


class RefusedError(requests.RequestException):
    """A redirect is not allowed."""


class Login(requests.auth.AuthBase):
    """The login for a host: in its address, of ~/.netrc, or of apt."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with its login."""
        address = request.url or ""
        found = requests.utils.get_auth_from_url(address)
        found = found if any(found) else access.login(address)
        return requests.auth.HTTPBasicAuth(*found)(request) if any(found) else request


class Session(requests.Session):
    """A session that follows few redirects, to the same host or to allowed hosts.

    Redirects from https to http are refused. The environment's proxies come before others.
    """

    def __init__(
        self,
        retries: urllib3.Retry,
        proxies: Mapping[str, str],
        redirects: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.redirects = redirects
        self.proxies.update(proxies)
        self.max_redirects = MAX_REDIRECTS
        self.auth = Login()
        # Digests are of the bytes on the server, without compression for the transfer.
        self.headers["Accept-Encoding"] = "identity"
        # The machine's certificates, unless REQUESTS_CA_BUNDLE is set.
        paths = ssl.get_default_verify_paths()
        self.verify = paths.cafile or paths.capath or True
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=retries))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The target of a redirect; raises RefusedError if it must not be followed."""
        target = super().get_redirect_target(resp)
        before, after = urlsplit(resp.url), urlsplit(urljoin(resp.url, target or ""))
        own = map(str.strip, os.environ.get(REDIRECT_HOSTS, "").split(","))
        allowed = {before.hostname, *self.redirects, *own}
        if after.hostname not in allowed or after.scheme not in {"https", before.scheme}:
            raise RefusedError(
                f"redirected to {after.scheme}://{after.hostname}, which is not allowed; to allow"
                f" it, add the host to {REDIRECT_HOSTS}"
            )
        return target


@contextlib.contextmanager
def open_response(
    address: str,
    timeout: float,
    retries: urllib3.Retry = NO_RETRIES,
    method: str = "GET",
    redirects: Collection[str] = (),
) -> Iterator[requests.Response]:
    """A successful response, whose body is read in the block.

    Raises NoResponseError with the HTTP status, 0 without a response.
    """
    status, follow = 0, method == "GET"
    try:
        with (
            Session(retries, access.proxies(address), redirects) as session,
            session.request(
                method, address, stream=True, timeout=timeout, allow_redirects=follow
            ) as response,
        ):
            status = response.status_code
            if response.ok:
                yield response
                return
        reason = f"HTTP {status}{LOGIN if status == UNAUTHORIZED else ''}"
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        reason = cause(error)
    raise NoResponseError(f"{without_credentials(address)}: {reason}", status)


def without_credentials(address: str) -> str:
    """An address without user name and password."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def body(
    address: str,
    timeout: float,
    seconds: float,
    retries: urllib3.Retry = NO_RETRIES,
    redirects: Collection[str] = (),
) -> Generator[bytes]:
    """The body at an address, in chunks; raises NoResponseError, also after `seconds`."""
    deadline = time.monotonic() + seconds
    with open_response(address, timeout, retries, redirects=redirects) as response:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise NoResponseError(
                    f"{without_credentials(address)}: incomplete after {seconds} s", OK
                )


def retry_policy(times: int, pause: float, longest: int) -> urllib3.Retry:
    """Retries of requests without a response, or with one that may be temporary."""
    return urllib3.Retry(
        times,
        status_forcelist={429, *range(500, 600)},
        raise_on_status=False,
        backoff_factor=pause,
        backoff_max=longest,
        retry_after_max=longest,
    )


def cause(error: BaseException) -> str:
    """The system's message for a failure; messages of libraries may contain passwords."""
    if isinstance(error, (RefusedError, requests.TooManyRedirects)):
        return str(error)
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    for each in reversed(chain):
        if isinstance(each, OSError) and not isinstance(each, requests.RequestException):
            return _with_clock(each.strerror or str(each))
    if any(isinstance(each, urllib3.exceptions.ProtocolError) for each in chain):
        return "the connection broke off"
    return f"{type(error).__name__}: the address, a proxy variable or the response is malformed"


def _with_clock(reason: str) -> str:
    return f"{reason} ({access.clock()})" if CLOCK.search(reason) else reason
