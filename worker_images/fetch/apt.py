"""Debian packages: which ones a set of names means today, and their bytes."""

import contextlib
import hashlib
import re
import subprocess
import tarfile
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from worker_images.errors import EngineError, FetchError
from worker_images.fetch.http import Download, ensure_all
from worker_images.files import scratch, without_stale_parts
from worker_images.model.lock import Package
from worker_images.model.pins import DebianPin

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ADDRESS = re.compile(
    r"'(?P<url>[^']+)' (?P<file>\S+) (?P<size>[0-9]+) SHA256:(?P<sha256>[0-9a-f]{64})"
)

# What to do where apt-get failed for another reason than the network.
FIXES = {
    "No space left|enough free space": "free some space in the cache, or set XDG_CACHE_HOME",
    "Unable to locate package|no installation candidate": (
        "correct the package's name, or debian.suite in versions.yaml"
    ),
    "not signed|NO_PUBKEY|EXPKEYSIG|not valid yet|expired": (
        "check the clock, debian-archive-keyring and debian.mirror in versions.yaml"
    ),
}
UNREACHED = "check debian.mirror in versions.yaml and the network"

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
    """The apt sources of a suite: release, updates and security, each signed by Debian."""
    rows = (
        (pin.mirror, pin.suite),
        (pin.mirror, f"{pin.suite}-updates"),
        (pin.security, f"{pin.suite}-security"),
    )
    return "".join(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n" for mirror, suite in rows)


def resolve(
    pin: DebianPin, names: Mapping[str, Sequence[str]], architecture: str = "amd64"
) -> dict[str, tuple[Package, ...]]:
    """Ask Debian's signed index what each set of names needs, for one architecture.

    Raises EngineError or FetchError.
    """
    if not KEYRING.exists():
        raise EngineError(
            f"resolving Debian packages: no {KEYRING}; run: apt-get install debian-archive-keyring"
        )
    with tempfile.TemporaryDirectory(prefix="part-apt-", dir=scratch()) as folder:
        return closures(apt_folder(Path(folder), sources(pin), architecture), names)


def closures(
    configuration: str, names: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Package, ...]]:
    """What each set of names needs, by the indexes of an apt folder, which it fetches.

    Raises FetchError.
    """
    _apt(configuration, "update", "--error-on=any")
    return {root: _closure(configuration, wanted) for root, wanted in names.items()}


def apt_folder(folder: Path, sources_list: str, architecture: str) -> str:
    """A folder in which apt knows these sources and nothing of the machine.

    Returns its configuration's path.
    """
    for name in (
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
        "log",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "etc" / "sources.list").write_text(sources_list)
    configuration = folder / "apt.conf"
    configuration.write_text(APT_CONFIGURATION.format(folder=folder, architecture=architecture))
    return str(configuration)


def _apt(configuration: str, *arguments: str) -> str:
    command = ["env", f"APT_CONFIG={configuration}", "LC_ALL=C", "apt-get", "-q", "-y", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        cause = next(
            (line for line in result.stderr.splitlines() if line.startswith("E:")),
            result.stderr.strip(),
        )
        fix = next((fix for pattern, fix in FIXES.items() if re.search(pattern, cause)), UNREACHED)
        raise FetchError(f"resolving Debian packages: apt-get {arguments[0]}: {cause}; {fix}")
    return result.stdout


def _closure(configuration: str, names: Sequence[str]) -> tuple[Package, ...]:
    rows = ADDRESS.finditer(_apt(configuration, "install", "--print-uris", "--", *names))
    return tuple(sorted(map(package_of, rows), key=lambda package: package.name))


def package_of(match: re.Match[str]) -> Package:
    """A package from one address that apt printed."""
    name, version, _ = match["file"].removesuffix(".deb").rsplit("_", 2)
    return Package(
        name, urllib.parse.unquote(version), match["url"], int(match["size"]), match["sha256"]
    )


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """Have the bytes of each package in a folder, checked again at each use; raises FetchError."""
    return ensure_all(
        [
            (download(package), without_stale_parts(cache) / file_name(package))
            for package in packages
        ]
    )


def file_name(package: Package) -> str:
    """What a package is called where packages are kept: by its bytes."""
    return f"{package.sha256}.deb"


def download(package: Package, *elsewhere: str) -> Download:
    """A package from the mirror that its index named, or from addresses that are tried next."""

    def fault(file: Path) -> str:
        size, digest = file.stat().st_size, sha256(file)
        right = (size, digest) == (package.size, package.sha256)
        return (
            ""
            if right
            else f"got {size} bytes with sha256 {digest}, want {package.size} with {package.sha256}"
        )

    step = (
        "where Debian has replaced it, take today's packages: make lock; else check the network and"
        " run again"
    )
    return Download(
        f"{package.name} {package.version}", (package.url, *elsewhere), package.size, fault, step
    )


@contextlib.contextmanager
def members(path: Path, archive: str) -> Iterator[tarfile.TarFile]:
    """The entries of one of a .deb's two archives (--fsys-tarfile, --ctrl-tarfile).

    Raises EngineError.
    """
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
    """Digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
