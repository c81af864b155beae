"""Debian packages: which ones a set of names means today, and their bytes."""

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from imagebuild.errors import EngineError, FetchError
from imagebuild.pins import DebianPin
from imagebuild.places import swept, whole

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ATTEMPTS = 4
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 30
CHUNK = 1 << 20
ADDRESS = re.compile(r"'(?P<url>[^']+)' (?P<file>\S+) (?P<size>[0-9]+) SHA256:(?P<sha256>[0-9a-f]{64})")

APT_CONFIGURATION = """\
Dir "{folder}";
Dir::Etc "etc";
Dir::State "state";
Dir::State::status "{folder}/status";
Dir::Cache "cache";
Dir::Log "log";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::ForceHash "sha256";
Acquire::Retries "3";
APT::Sandbox::User "";
"""


@dataclass(frozen=True)
class Package:
    """One .deb: where it lies and what its bytes are."""

    name: str
    version: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Resolution:
    """What the names meant on `date`: a tuple of packages, sorted by name, for each root filesystem."""

    date: str
    roots: Mapping[str, tuple[Package, ...]]

    def as_json(self) -> str:
        """Text that `from_json` reads back."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote."""
        data = json.loads(text)
        return cls(data["date"], {name: tuple(Package(**row) for row in rows) for name, rows in data["roots"].items()})


def sources(pin: DebianPin) -> str:
    """The apt sources of a suite: release, updates and security, each signed by Debian."""
    rows = ((pin.mirror, pin.suite), (pin.mirror, f"{pin.suite}-updates"), (pin.security, f"{pin.suite}-security"))
    return "".join(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n" for mirror, suite in rows)


def resolve(pin: DebianPin, names: Mapping[str, Sequence[str]]) -> Resolution:
    """Ask Debian's signed index what each set of names needs; raises EngineError or FetchError."""
    if not KEYRING.exists():
        raise EngineError(f"resolving Debian packages: no {KEYRING}; run: apt-get install debian-archive-keyring")
    with tempfile.TemporaryDirectory(prefix="worker-apt-") as folder:
        environment = _apt_folder(Path(folder), sources(pin))
        _apt(environment, "update", "--error-on=any")
        roots = {root: _closure(environment, wanted) for root, wanted in names.items()}
    return Resolution(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), roots)


def _apt_folder(folder: Path, sources_list: str) -> str:
    for name in ("etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "etc" / "sources.list").write_text(sources_list)
    configuration = folder / "apt.conf"
    configuration.write_text(APT_CONFIGURATION.format(folder=folder))
    return str(configuration)


def _apt(configuration: str, *arguments: str) -> str:
    command = ["env", f"APT_CONFIG={configuration}", "LC_ALL=C", "apt-get", "-q", "-y", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        cause = next((line for line in result.stderr.splitlines() if line.startswith("E:")), result.stderr.strip())
        fix = "check debian.mirror in versions.yaml and the network"
        raise FetchError(f"resolving Debian packages: apt-get {arguments[0]}: {cause}; {fix}")
    return result.stdout


def _closure(configuration: str, names: Sequence[str]) -> tuple[Package, ...]:
    rows = ADDRESS.finditer(_apt(configuration, "install", "--print-uris", "--", *names))
    return tuple(sorted(map(package_of, rows), key=lambda package: package.name))


def package_of(match: re.Match[str]) -> Package:
    """A package from one address that apt printed."""
    name, version, _ = match["file"].removesuffix(".deb").rsplit("_", 2)
    return Package(name, urllib.parse.unquote(version), match["url"], int(match["size"]), match["sha256"])


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """Have the bytes of each package in the cache, checked again at each use; raises FetchError."""
    swept(cache)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda package: _have(package, cache / f"{package.sha256}.deb"), packages))


def _have(package: Package, path: Path) -> Path:
    if path.is_file() and sha256(path) == package.sha256:
        return path
    what = f"fetching {package.name} {package.version}: {package.url}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _download(package, path)
        except (OSError, http.client.HTTPException, FetchError) as error:
            cause = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code < 500 and error.code != 429:
                    raise FetchError(f"{what}: HTTP {error.code}; the mirror no longer has it; run again with --refresh") from error
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1) if attempt < ATTEMPTS else 0)
    raise FetchError(f"{what}: {cause}; check the network and run again") from cause


def _download(package: Package, path: Path) -> Path:
    """Stream to a temporary name, at most the pinned size, and rename when the digest is right."""
    digest, received = hashlib.sha256(), 0
    with whole(path) as part, part.open("wb") as file:
        with urllib.request.urlopen(package.url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - pins allow http(s) only
            while received <= package.size and (chunk := answer.read(CHUNK)):
                received += file.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != package.sha256:
            raise FetchError(f"got {received} bytes with sha256 {digest.hexdigest()}, want {package.size} with {package.sha256}")
    return path


@contextlib.contextmanager
def members(path: Path, archive: str) -> Iterator[tarfile.TarFile]:
    """The entries of one of a .deb's two archives (--fsys-tarfile, --ctrl-tarfile); raises EngineError."""
    with tempfile.TemporaryFile() as unpacked:
        result = subprocess.run(["dpkg-deb", archive, str(path)], stdout=unpacked, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            raise EngineError(f"reading {path}: {result.stderr.strip()}; delete it and run again")
        unpacked.seek(0)
        try:
            with tarfile.open(fileobj=unpacked) as tar:
                yield tar
        except tarfile.ReadError as error:
            raise EngineError(f"reading {path}: {error}; delete it and run again") from error


def sha256(path: Path) -> str:
    """Digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
