"""An image read by other programs than ours: tar, dpkg-query, dpkg-deb and the go command."""

import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker_images.fetch import gomod
from worker_images.fetch.store import Store
from worker_images.model.lock import Toolchain

FORMAT = "${binary:Package}\t${Version}\t${Architecture}\n"
ELF = b"\x7fELF"


@dataclass(frozen=True)
class Findings:
    """What is in an image: packages, modules of Go programs, ELF files with their SHA-256."""

    packages: frozenset[tuple[str, str, str]]
    modules: frozenset[tuple[str, str, str]]
    files: frozenset[tuple[str, str]]


def read(root: Path, go: Path) -> Findings:
    """Read an unpacked image."""
    packages, modules, files = _packages(root), _modules(go, root), _elf_files(root)
    return Findings(frozenset(packages), frozenset(modules), frozenset(files))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the layers of an OCI archive, as its manifest orders them; return the folder."""
    blobs, root = folder / "blobs", folder / "root"
    root.mkdir(parents=True)
    _extract(archive, folder)
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads(_blob(blobs, index["manifests"][0]).read_text())
    for layer in manifest["layers"]:
        _extract(_blob(blobs, layer), root)
    return root


def _extract(archive: Path, folder: Path) -> None:
    command = ["tar", "--extract", "--no-same-owner", "--file", str(archive)]
    subprocess.run([*command, "--directory", str(folder)], check=True)


def _blob(blobs: Path, descriptor: dict[str, str]) -> Path:
    return blobs / descriptor["digest"].replace(":", "/")


def _packages(root: Path) -> Iterable[tuple[str, str, str]]:
    """The packages, by dpkg-query: it needs all records in one file, with their state."""
    database = root.parent / "dpkg"
    (database / "updates").mkdir(parents=True)
    (database / "info").mkdir()
    records = [
        path.read_text().strip()
        for path in sorted((root / "var/lib/dpkg/status.d").iterdir())
        if path.suffix != ".md5sums"
    ]
    state = "\nStatus: install ok installed\n\n"
    (database / "status").write_text("".join(f"{record}{state}" for record in records))
    command = ["dpkg-query", f"--admindir={database}", "--show", f"--showformat={FORMAT}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        name, version, architecture = line.split("\t")
        yield name.partition(":")[0], version, architecture


def _elf_files(root: Path) -> Iterable[tuple[str, str]]:
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if path.is_file() and not path.is_symlink() and (data := path.read_bytes())[:4] == ELF:
                yield f"/{path.relative_to(root)}", hashlib.sha256(data).hexdigest()


def go_command(toolchain: Toolchain, folder: Path) -> Path:
    """The go command of the locked toolchain."""
    (archive,) = Store().modules([gomod.toolchain(toolchain.version, toolchain.sum)])
    program = folder / "go"
    with zipfile.ZipFile(archive) as files:
        (name,) = (each for each in files.namelist() if each.endswith("/bin/go"))
        program.write_bytes(files.read(name))
    program.chmod(0o755)
    return program


def _modules(go: Path, root: Path) -> Iterable[tuple[str, str, str]]:
    """The program, path and version of each module, and of the standard library."""
    environment = {"HOME": str(go.parent), "GOROOT": str(go.parent), "GOTELEMETRY": "off"}
    command = [str(go), "version", "-m", str(root)]
    text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    program = ""
    for fields in (line.split("\t") for line in text.stdout.splitlines()):
        if fields[0]:
            program, _, release = fields[0].removeprefix(str(root)).partition(": go")
            yield program, "stdlib", release
        elif fields[1] in {"mod", "dep"}:
            yield program, fields[2], fields[3]


def files_of_deb(deb: Path) -> set[str]:
    """The paths of the files in a .deb, by dpkg-deb."""
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    tar = subprocess.run(command, check=True, capture_output=True).stdout
    listing = subprocess.run(["tar", "--list"], input=tar, check=True, capture_output=True).stdout
    return {line.removeprefix(".") for line in listing.decode().splitlines()}
