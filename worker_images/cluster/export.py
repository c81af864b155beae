"""Writes the cluster as archives that start it on another machine, without a network.

The archives have the same top folder: a checkout with its cache, its Python packages, and out/.
"""

import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker_images.build import kit
from worker_images.build.go_programs import Parts
from worker_images.build.record import Record
from worker_images.build.tars import Progress
from worker_images.cluster import parts
from worker_images.errors import EngineError, UsageError
from worker_images.fetch.store import pip_failure
from worker_images.files import CACHE, atomic_path
from worker_images.model import seal

FOLDER = "worker-images"
CLUSTER, IMAGES = "cluster.tar.xz", "images.tar.xz"
# The key that seals the reports of the other machine; a release finds it by this place.
KEY = f"out/cluster/{seal.KIT_KEY}"
PYTHON = re.compile(r"3\.(1[1-9]|[2-9][0-9])")
# Wheels for glibc 2.17 to 2.36, of which pip takes only those that it is given.
PLATFORMS = ("any", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28, 31, 34, 35, 36)))
PLATFORMS += ("manylinux2014_x86_64", "manylinux_2_12_x86_64", "manylinux_2_5_x86_64")
# Only the image layer uses it, which needs an engine.
LARGE = re.compile(r"^kingfisher-bin==.*\n(?:    .*\n)+", re.MULTILINE)
# Images share layers: a dictionary of this size finds them again.
DICTIONARY = 128 << 20
OF_IMAGE = ("image.tar", "build.json")
Members = Mapping[str, Path]


def write(root: Path, own: Parts, target: Path, python: str, progress: Progress) -> list[Path]:
    """Write both archives into a folder, and return their paths.

    `python` is the version of the other machine's Python. Raises UsageError without built images,
    EngineError and FetchError.
    """
    if not PYTHON.fullmatch(python):
        raise UsageError(f"--python {python}: name the other machine's Python, such as 3.12")
    images = dict(_images(root))
    target.mkdir(parents=True, exist_ok=True)
    key = root / KEY
    seal.create(key)
    with tempfile.TemporaryDirectory() as scratch:
        packages = Path(scratch) / "packages"
        _install(root / "requirements.txt", packages, python)
        cluster = {
            **dict(_checkout(root)),
            **dict(_cache(own, key, progress)),
            ".packages": packages,
            "start": root / parts.FOLDER / "exported",
        }
        reports = dict(_reports(root, images, key, Path(scratch)))
        progress(f"writing {CLUSTER}")
        _pack(target / CLUSTER, cluster, {"preset": 2, "dict_size": DICTIONARY})
        progress(f"writing {IMAGES}")
        # Layers are compressed already, and slim's are in full too.
        _pack(target / IMAGES, images | reports, {"preset": 0, "dict_size": DICTIONARY})
    return [target / CLUSTER, target / IMAGES]


def _images(root: Path) -> Iterator[tuple[str, Path]]:
    """The images of out/ for amd64, and the older runsc of the negative controls."""
    for record in sorted(root.glob("out/*/build.json")):
        built = Record.read(record)
        if built and built.architecture == "amd64":
            for name in OF_IMAGE:
                yield f"out/{record.parent.name}/{name}", record.with_name(name)
    if not (root / "out/full/image.tar").is_file():
        raise UsageError("the node needs the runtimes of worker:full; run: make full")
    yield "out/gpu-controls/runsc", kit.controls(root)


def _reports(root: Path, images: Members, key: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The reports of the image layer, sealed with the key of the other machine."""
    keys = seal.known_keys(root)
    for variant in sorted({Path(name).parent.name for name in images if name.endswith(".json")}):
        report = root / "out" / variant / "image.xml"
        if not report.exists() or seal.fault(report, report.read_bytes(), keys):
            continue
        copy = scratch / variant / report.name
        copy.parent.mkdir()
        shutil.copy2(report, copy)
        seal.write(copy, seal.create(key))
        for path in (copy, seal.beside(copy)):
            yield f"out/{variant}/{path.name}", path


def _checkout(root: Path) -> Iterator[tuple[str, Path]]:
    """The files of the checkout, without those that git ignores."""
    listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(["git", "-C", str(root), *listed], capture_output=True, check=False)
    if done.returncode:
        raise EngineError(f"git ls-files in {root}: {done.stderr.decode(errors='replace').strip()}")
    for name in filter(None, done.stdout.decode().split("\0")):
        # One that was deleted is still in the index.
        if (root / name).is_file():
            yield name, root / name


def _cache(own: Parts, key: Path, progress: Progress) -> Iterator[tuple[str, Path]]:
    """What the first start would fetch, unpack and compile."""
    paths = (
        parts.debian(own, CACHE / "tools", progress),
        parts.pause(own, progress),
        _kubernetes(own, progress),
    )
    for path in paths:
        yield f".cache/{FOLDER}/{path.relative_to(CACHE)}", path
    yield f".cache/{FOLDER}/{seal.OWN_KEY}", key


def _kubernetes(own: Parts, progress: Progress) -> Path:
    return parts.kubernetes(own).compiled(own, progress)


def _install(requirements: Path, target: Path, python: str) -> None:
    """Install the Python packages for a version of Python; raises FetchError."""
    selected = target.with_name("requirements.txt")
    selected.write_text(LARGE.sub("", requirements.read_text()))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    options += [f"--python-version={python}", "--implementation=cp"]
    options += [f"--platform={each}" for each in PLATFORMS]
    result = subprocess.run(
        [*command, *options, f"--target={target}", f"--requirement={selected}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise pip_failure(f"the Python packages for Python {python}", result.stderr)


def _pack(target: Path, members: Members, settings: Mapping[str, int]) -> None:
    """Write an archive that only its owner can read: it holds a key."""
    with (
        atomic_path(target) as part,
        _compressed(part, [{"id": lzma.FILTER_LZMA2, **settings}]) as file,
        tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in members.items():
            tar.add(path, f"{FOLDER}/{name}", filter=_of_root)


@contextmanager
def _compressed(path: Path, filters: Sequence[Mapping[str, int]]) -> Iterator[lzma.LZMAFile]:
    path.touch(0o600)
    with lzma.open(path, "wb", filters=list(filters)) as file:
        yield file


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files of this user belong to root there; those of the node's root do already."""
    if member.uid:
        member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
