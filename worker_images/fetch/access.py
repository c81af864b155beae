"""How this machine reaches mirrors: the proxies, certificates and logins that apt has.

apt.conf(5), apt-transport-http(1), apt_auth.conf(5). The environment's proxies come first, and
~/.netrc before apt's logins.
"""

import contextlib
import functools
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

APT = Path("/etc/apt")
SETTING = re.compile(
    r"^Acquire::(?P<scheme>https?)::(?P<name>Proxy|Proxy-Auto-Detect|CAInfo|CAPath)"
    r'(::(?P<host>\S+))? "(?P<value>.+)";$'
)
DIRECT = "DIRECT"
# Addresses of a Debian archive; apt's proxy may serve no others.
OF_ARCHIVE = re.compile(r"\.deb$|/dists/")


@dataclass(frozen=True)
class Login:
    """An entry of apt's auth.conf; `place` is HOST[:PORT][/PATH], after SCHEME:// if it has one."""

    place: str
    user: str = ""
    password: str = ""

    def serves(self, address: SplitResult) -> bool:
        """Whether the entry is for an address; without a scheme, it is for https alone."""
        scheme, _, rest = self.place.rpartition("://")
        host, slash, path = rest.partition("/")
        return (
            address.scheme == (scheme or "https")
            and host in {address.hostname, address.netloc.rpartition("@")[2]}
            and (address.path.startswith(slash + path))
        )


def clock() -> str:
    """The time of this machine, for messages about times that do not fit."""
    return f"this machine's clock shows {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def apt_configuration(mirrors: Iterable[str]) -> str:
    """Settings for an apt with its own configuration: how the machine's apt reaches mirrors.

    Hosts of NO_PROXY get no proxy; apt does not read networks such as 10.0.0.0/8 there.
    """
    lines = [each.group() for each in _settings()]
    lines += [
        f'Acquire::{address.scheme}::Proxy::{address.hostname} "{DIRECT}";'
        for address in map(urlsplit, sorted(set(mirrors)))
        if _environment() and _bypasses(address)
    ]
    return "".join(f"{line}\n" for line in lines)


def apt_logins(mirrors: Iterable[str]) -> str:
    """The logins for mirrors as an auth.conf, also for http if ~/.netrc has the host."""
    found = {mirror: login(mirror) for mirror in mirrors}
    return "".join(
        f"machine {mirror} login {user} password {password}\n"
        for mirror, (user, password) in found.items()
        if user or password
    )


def proxies(address: str) -> Mapping[str, str]:
    """The proxy that apt has for an address of an archive, if the environment has none."""
    parts = urlsplit(address)
    if _environment() or not OF_ARCHIVE.search(parts.path):
        return {}
    found = {(each["scheme"], each["host"]): each["value"] for each in _settings("Proxy")}
    order = (
        (parts.scheme, parts.hostname),
        (parts.scheme, None),
        ("http", parts.hostname),
        ("http", None),
    )
    value = next((found[key] for key in order if key in found), DIRECT)
    return {} if value in {DIRECT, "false"} else {parts.scheme: value}


def login(address: str) -> tuple[str, str]:
    """The user and password for an address, of ~/.netrc or of apt; empty without one."""
    import requests

    if found := requests.utils.get_netrc_auth(address):
        return found
    parts = urlsplit(address)
    entry = next((each for each in _logins() if each.serves(parts)), Login(""))
    return entry.user, entry.password


def _environment() -> bool:
    """Whether the environment has a proxy."""
    return bool(getproxies().keys() & {"http", "https", "all"})


def _bypasses(address: SplitResult) -> bool:
    import requests

    return bool(requests.utils.should_bypass_proxies(address.geturl(), no_proxy=None))


def _settings(name: str = "") -> Iterator[re.Match[str]]:
    """The machine's settings of proxies and certificates, or those with a name."""
    found = _dump(os.environ.get("APT_CONFIG", ""))
    return (each for each in found if name in {"", each["name"]})


@functools.cache
def _dump(_: str) -> tuple[re.Match[str], ...]:
    """The lines of `apt-config dump` with these settings; none without apt."""
    try:
        result = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ()
    return tuple(filter(None, map(SETTING.match, result.stdout.splitlines())))


def _logins() -> Iterator[Login]:
    """The entries of files that this user may read."""
    for path in (APT / "auth.conf", *sorted((APT / "auth.conf.d").glob("*.conf"))):
        with contextlib.suppress(OSError):
            yield from _entries(path.read_text(encoding="utf-8", errors="replace"))


def _entries(text: str) -> Iterator[Login]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = iter(" ".join(lines).split())
    found: dict[str, str] = {}
    for key, value in zip(words, words, strict=False):
        if key == "machine":
            if found:
                yield Login(**found)
            found = {"place": value}
        elif found and key in {"login", "password"}:
            found["user" if key == "login" else key] = value
    if found:
        yield Login(**found)
