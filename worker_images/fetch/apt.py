"""Debian packages: resolution of names with apt, and downloads."""

import contextlib
import hashlib
import re
import subprocess
import tarfile
import tempfile
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from worker_images.errors import EngineError, FetchError
from worker_images.fetch import access, apt_errors
from worker_images.fetch.http import Download, ensure_all
from worker_images.files import scratch, without_stale_parts
from worker_images.model.lock import Package
from worker_images.model.pins import DebianPin

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ADDRESS = re.compile(
    r"'(?P<url>[^']+)' (?P<file>\S+) (?P<size>[0-9]+) SHA256:(?P<sha256>[0-9a-f]{64})"
)

# The address of an archive at a time, such as snapshot.debian.org/archive/debian/20260701T000000Z.
SNAPSHOT = re.compile(r"/[0-9]{8}T[0-9]{6}Z(/|$)")
APT_CONFIGURATION = """\
Dir "{folder}";
Dir::Etc "etc";
Dir::State "state";
Dir::State::status "{folder}/status";
Dir::Cache "cache";
Dir::Log "log";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::ForceHash "sha256";
Acquire::Retries "3";
APT::Sandbox::User "";
"""


def sources(pin: DebianPin) -> str:
    """The apt sources of a suite: release, updates and security, all signed by Debian."""
    return main_sources(pin) + security_sources(pin)


def main_sources(pin: DebianPin) -> str:
    """The apt sources of the main archive: release and updates."""
    return _source(pin.mirror, pin.suite) + _source(pin.mirror, f"{pin.suite}-updates")


def security_sources(pin: DebianPin) -> str:
    """The apt source of the security archive."""
    return _source(pin.security, f"{pin.suite}-security")


def _source(mirror: str, suite: str) -> str:
    # The indexes of a snapshot have expired; the time in its address says which they are.
    old = " check-valid-until=no" if SNAPSHOT.search(mirror) else ""
    return f"deb [signed-by={KEYRING}{old}] {mirror} {suite} main\n"


def resolve(
    pin: DebianPin, names: Mapping[str, Sequence[str]], architecture: str = "amd64"
) -> dict[str, tuple[Package, ...]]:
    """Resolve each set of names with Debian's signed index, for one architecture.

    Raises EngineError or FetchError.
    """
    with _temporary_folder() as folder:
        return closures(apt_folder(folder, sources(pin), architecture), names)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """An empty folder; raises EngineError if this machine lacks Debian's keys."""
    if not KEYRING.exists():
        raise EngineError(
            f"resolving Debian packages: {KEYRING} does not exist; run: apt-get install"
            " debian-archive-keyring"
        )
    with tempfile.TemporaryDirectory(prefix="part-apt-", dir=scratch()) as folder:
        yield Path(folder)


def newest(sources_list: str, names: Collection[str], architecture: str) -> dict[str, str]:
    """The newest version of each package that an archive has; raises EngineError or FetchError."""
    with _temporary_folder() as folder:
        _apt(apt_folder(folder, sources_list, architecture), "update", "--error-on=any")
        lists = sorted(Path(folder, "state", "lists").glob("*_Packages"))
        rows = [row for path in lists for row in _versions(path)]
    # apt only notes that an archive lacks an architecture.
    if not rows:
        raise FetchError(
            f"resolving Debian packages: no package for {architecture} in:"
            f" {' '.join(sources_list.split())}; {apt_errors.CHECK_NETWORK}"
        )
    found: dict[str, str] = {}
    for name, version in rows:
        if name in names and (name not in found or is_later(version, found[name])):
            found[name] = version
    return found


def _versions(index: Path) -> Iterator[tuple[str, str]]:
    """The name and version of each package in an index."""
    name = ""
    with index.open(encoding="utf-8") as lines:
        for line in lines:
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "Package":
                name = value
            elif field == "Version":
                yield name, value


def is_later(version: str, other: str) -> bool:
    """Whether a Debian version is later than another."""
    if version == other:
        return False
    command = ["dpkg", "--compare-versions", version, "gt", other]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def closures(
    configuration: str, names: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Package, ...]]:
    """Fetch the indexes of an apt folder, and resolve each set of names; raises FetchError."""
    _apt(configuration, "update", "--error-on=any")
    return {root: _closure(configuration, each) for root, each in names.items()}


def apt_folder(folder: Path, sources_list: str, architecture: str) -> str:
    """Make a folder in which apt uses these sources, and the machine's proxies and logins.

    Returns the path of its configuration. No other setting of the machine is used.
    """
    for name in (
        "etc/apt.conf.d",
        "etc/auth.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
        "log",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "etc" / "sources.list").write_text(sources_list)
    configuration = folder / "apt.conf"
    mirrors = re.findall(r"https?://\S+", sources_list)
    text = APT_CONFIGURATION.format(folder=folder, architecture=architecture)
    configuration.write_text(text + access.apt_configuration(mirrors))
    logins = folder / "etc" / "auth.conf.d" / "mirrors.conf"
    logins.touch(mode=0o600)
    logins.write_text(access.apt_logins(mirrors))
    return str(configuration)


def _apt(configuration: str, *arguments: str) -> str:
    command = ["env", f"APT_CONFIG={configuration}", "LC_ALL=C", "apt-get", "-q", "-y", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise apt_errors.failure(arguments[0], result.stderr)
    return result.stdout


def _closure(configuration: str, names: Sequence[str]) -> tuple[Package, ...]:
    rows = ADDRESS.finditer(_apt(configuration, "install", "--print-uris", "--", *names))
    return tuple(sorted(map(package_of, rows), key=lambda package: package.name))


def package_of(match: re.Match[str]) -> Package:
    """A package, from a line that apt printed."""
    name, version, _ = match["file"].removesuffix(".deb").rsplit("_", 2)
    return Package(
        name, urllib.parse.unquote(version), match["url"], int(match["size"]), match["sha256"]
    )


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """Download packages that the folder lacks, and check all; raises FetchError."""
    return ensure_all(
        [
            (download(package), without_stale_parts(cache) / file_name(package))
            for package in packages
        ]
    )


def file_name(package: Package) -> str:
    """The file name of a package in caches, which is its digest."""
    return f"{package.sha256}.deb"


def download(package: Package, *fallbacks: str) -> Download:
    """The download of a package from its mirror, or from one of the fallbacks."""

    def fault(file: Path) -> str:
        size, digest = file.stat().st_size, sha256(file)
        if (size, digest) == (package.size, package.sha256):
            return ""
        return f"got {size} bytes with sha256 {digest}, want {package.size} with {package.sha256}"

    step = (
        "if Debian replaced it, use the current packages: make lock; else check the network and run"
        " again"
    )
    return Download(
        f"{package.name} {package.version}", (package.url, *fallbacks), package.size, fault, step
    )


@contextlib.contextmanager
def members(path: Path, archive: str) -> Iterator[tarfile.TarFile]:
    """One of a .deb's two archives (--fsys-tarfile, --ctrl-tarfile); raises EngineError."""
    with tempfile.TemporaryFile(dir=scratch()) as unpacked:
        result = subprocess.run(
            ["dpkg-deb", archive, str(path)],
            stdout=unpacked,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode:
            raise EngineError(f"reading {path}: {result.stderr.strip()}; delete it and run again")
        unpacked.seek(0)
        try:
            with tarfile.open(fileobj=unpacked, encoding="utf-8") as tar:
                yield tar
        except tarfile.ReadError as error:
            raise EngineError(f"reading {path}: {error}; delete it and run again") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
