"""The store of fetched inputs, which checks each file again when it is used."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from worker_images.errors import EngineError, FetchError, ImageBuildError
from worker_images.fetch import apt, gomod
from worker_images.fetch.http import CHANGED, Download, ensure, ensure_all
from worker_images.files import CACHE, atomic_path, without_stale_parts
from worker_images.model.lock import Package, Wheel
from worker_images.model.pins import DebianPin, mirrored

# The largest file that a project publishes, gVisor's archive, is below 200 MB.
MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class Store:
    """The folder of inputs for builds.

    If `source` is set, files are copied from that folder instead of the network. `mirrors` are
    starts of addresses of published files, and what replaces them.
    """

    folder: Path = CACHE
    source: Path | None = None
    mirrors: Mapping[str, str] = field(default_factory=dict)

    def debs(self, packages: Sequence[Package], pin: DebianPin, times: Sequence[str]) -> list[Path]:
        """Debian packages, from the mirror or from Debian's snapshots; raises FetchError."""
        names = [f"debs/{apt.file_name(package)}" for package in packages]
        wanted = [
            apt.download(package, *snapshots(package.url, pin, times)) for package in packages
        ]
        return self._ensure(wanted, names)

    def modules(self, files: Sequence[gomod.File]) -> list[Path]:
        """Files of module proxies; raises FetchError."""
        # Proxies are needed only with a network.
        proxies = () if self.source else gomod.proxies()
        return self._ensure(
            [each.download(proxies) for each in files], [f"modules/{each.name}" for each in files]
        )

    def wheel(self, wheel: Wheel) -> Path:
        """A wheel, which pip downloads with the user's mirrors, proxies and CA certificates.

        Raises FetchError.
        """
        wanted, path = (
            wheel_download(wheel),
            without_stale_parts(self.folder / "wheels") / f"{wheel.sha256}.whl",
        )
        if self.source:
            return self._ensure([wanted], [f"wheels/{path.name}"])[0]
        if not path.is_file() or wanted.fault(path):
            _fetch_with_pip(wheel, wanted.fault, path)
        return path

    def resolve_wheel(self, project: str, version: str, platform: str) -> Wheel:
        """The current wheel of a version for a platform in the index; raises FetchError."""
        folder = without_stale_parts(self.folder / "wheels")
        with _pip_download(f"{project}=={version}", "--no-deps", platform, folder) as found:
            digest = apt.sha256(found)
            with atomic_path(folder / f"{digest}.whl") as part:
                shutil.copyfile(found, part)
            return Wheel(project, version, platform, digest, found.stat().st_size)

    def file(self, address: str, digest: str, redirects: tuple[str, ...] = ()) -> Path:
        """A file that a project publishes, from its address or a mirror; raises FetchError."""
        wanted = published_download(mirrored(address, self.mirrors), digest, redirects)
        return self._ensure([wanted], [f"files/{digest.replace(':', '-')}"])[0]

    def _ensure(self, wanted: Sequence[Download], names: Sequence[str]) -> list[Path]:
        files = [
            (self._from_source(each, name), self.folder / name)
            for each, name in zip(wanted, names, strict=True)
        ]
        for folder in {path.parent for _, path in files}:
            without_stale_parts(folder)
        return ensure_all(files)

    def _from_source(self, wanted: Download, name: str) -> Download:
        if self.source is None:
            return wanted
        step = f"on a machine with a network, run: ./build.py fetch --into {self.source}"
        return replace(wanted, copy=self.source / name, step=step)


def copy_file(store: Store, path: Path, fault: Callable[[Path], str], into: Path) -> Path:
    """Copy a file of a store to another folder with the same layout; raises FetchError."""
    target = into / path.relative_to(store.folder)
    without_stale_parts(target.parent)
    step = f"free some space in {into} and run again"
    return ensure(Download(path.name, (), path.stat().st_size, fault, step, copy=path), target)


def snapshots(address: str, pin: DebianPin, times: Sequence[str]) -> tuple[str, ...]:
    """The addresses of a file in Debian's snapshots of these times (https://snapshot.debian.org)."""
    stamps = [datetime.fromisoformat(time).strftime("%Y%m%dT%H%M%SZ") for time in times]
    for mirror in (pin.security, pin.mirror):
        if address.startswith(f"{mirror}/"):
            archive = urlsplit(mirror).path.strip("/").rpartition("/")[2]
            file = address.removeprefix(mirror)
            return tuple(f"{pin.snapshot}/{archive}/{stamp}{file}" for stamp in stamps)
    return ()


def published_download(address: str, digest: str, redirects: tuple[str, ...] = ()) -> Download:
    """The download of a file that a project publishes, checked by its digest."""
    algorithm = digest.partition(":")[0]

    def fault(file: Path) -> str:
        with file.open("rb") as stream:
            found = f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"
        return "" if found == digest else f"got {found}, want {digest}"

    return Download(
        address.rpartition("/")[2],
        (address,),
        MAX_FILE_BYTES,
        fault,
        "if the project no longer publishes it, pin another version in versions.yaml; else check"
        " the network, proxies and mirrors, and run again",
        redirects=redirects,
    )


def wheel_download(wheel: Wheel) -> Download:
    """The download of a wheel, checked by its digest."""

    def fault(file: Path) -> str:
        found = apt.sha256(file)
        return "" if found == wheel.sha256 else f"got sha256 {found}, want {wheel.sha256}"

    return Download(
        f"{wheel.project} {wheel.version}",
        (),
        wheel.size,
        fault,
        "check the network and PIP_INDEX_URL, then run again",
    )


def pip_failure(name: str, output: str) -> ImageBuildError:
    """The error for pip's output on standard error, with the next step."""
    cause = next((line for line in output.splitlines() if "ERROR" in line), output.strip())
    if "No space left on device" in output:
        return EngineError(
            f"fetching {name}: {cause}; free some space in {CACHE} and {tempfile.gettempdir()},"
            " then run again"
        )
    step = (
        CHANGED
        if "DO NOT MATCH THE HASHES" in output
        else "check the network and PIP_INDEX_URL, then run again"
    )
    return FetchError(f"fetching {name}: {cause}; {step}")


def _fetch_with_pip(wheel: Wheel, fault: Callable[[Path], str], path: Path) -> None:
    line = f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}"
    with _pip_download(line, "--require-hashes", wheel.platform, path.parent) as found:
        if cause := fault(found):
            raise FetchError(f"fetching {wheel.project} {wheel.version}: {cause}; {CHANGED}")
        with atomic_path(path) as part:
            shutil.copyfile(found, part)


@contextlib.contextmanager
def _pip_download(line: str, option: str, platform: str, folder: Path) -> Iterator[Path]:
    """The wheel that pip downloads for a line of requirements; raises FetchError."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as scratch:
        requirement = Path(scratch) / "requirement.txt"
        requirement.write_text(f"{line}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet"]
        command += ["--disable-pip-version-check", option, "--no-deps"]
        command += ["--platform", platform, "--only-binary", ":all:"]
        command += ["--dest", scratch, "--requirement", str(requirement)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(scratch).glob("*.whl"))
        if result.returncode or len(found) != 1:
            raise pip_failure(line.partition(" ")[0], result.stderr)
        yield found[0]
