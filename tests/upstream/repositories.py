"""Signed apt archives: Debian's, with suites, and NVIDIA's, which is flat."""

import email.utils
import gzip
import hashlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.upstream.signing import Signer


def index(packages: Mapping[str, Path]) -> str:
    """The Packages of an archive, from its .debs by their paths in the archive."""
    return "".join(f"{_fields(name, file)}\n" for name, file in sorted(packages.items()))


def _fields(name: str, file: Path) -> str:
    command = ["dpkg-deb", "--field", str(file)]
    control = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{control}Filename: {name}\nSize: {len(content)}\nSHA256: {digest}\n"


def debian(root: Path, debs: Sequence[Path], suites: Mapping[str, str], signer: Signer) -> None:
    """Write an archive: its first suite has the packages, the others have none.

    `suites` has the codename of each suite's folder.
    """
    pool = root / "pool"
    pool.mkdir(parents=True)
    packages = {}
    for file in debs:
        (pool / file.name).hardlink_to(file)
        packages[f"pool/{file.name}"] = file
    for number, (folder, codename) in enumerate(suites.items()):
        place = root / "dists" / folder
        (place / "main/binary-amd64").mkdir(parents=True)
        text = index(packages) if number == 0 else ""
        (place / "main/binary-amd64/Packages").write_text(text)
        about = {"Origin": "Debian", "Label": "Debian", "Suite": folder, "Codename": codename}
        about |= {"Architectures": "amd64", "Components": "main"}
        _release(place, about, ["main/binary-amd64/Packages"], signer)


def flat(root: Path, packages: Sequence[Path], signer: Signer) -> None:
    """Write an archive whose indexes and packages are in one folder."""
    (root / "Packages").write_text(index({f"./{file.name}": file for file in packages}))
    about = {"Origin": "https://nvidia.github.io/libnvidia-container", "Suite": "stable"}
    _release(root, about, ["Packages"], signer)


def _release(
    folder: Path, about: Mapping[str, str], indexes: Sequence[str], signer: Signer
) -> None:
    release = folder / "Release"
    release.write_text("\n".join([*_lines(folder, about, indexes), ""]))
    signer.sign(release, folder / "InRelease", "--clearsign")
    signer.sign(release, folder / "Release.gpg", "--detach-sign")


def _lines(folder: Path, about: Mapping[str, str], indexes: Sequence[str]) -> Iterator[str]:
    names = [*indexes, *(f"{name}.gz" for name in indexes)]
    for name in indexes:
        packed = gzip.compress((folder / name).read_bytes(), mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
    yield from (f"{key}: {value}" for key, value in about.items())
    yield f"Date: {email.utils.formatdate(usegmt=True).replace('GMT', 'UTC')}"
    yield "SHA256:"
    for name in names:
        content = (folder / name).read_bytes()
        yield f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}"
