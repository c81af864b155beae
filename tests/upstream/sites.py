"""The files of all hosts, made once from Debian's packages and the images of the source packages.

They stand in for what the projects publish: laid out as there, and signed by keys made here.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.upstream import gvisor, hosts, hub, nvidia, repositories, signing, slim
from tests.upstream.signing import Signer
from worker_images.build.go_programs import Parts
from worker_images.build.record import exclusive
from worker_images.fetch import apt
from worker_images.files import CACHE, ROOT, files_digest
from worker_images.model.lock import Package
from worker_images.model.oci import archive

HERE = Path(__file__).parent
MAKERS = (
    "gvisor.py",
    "hub.py",
    "nvidia.py",
    "repositories.py",
    "signing.py",
    "sites.py",
    "slim.py",
)
# A release of gVisor from the time since when it publishes only archives. Its runsc is a stand-in:
# no later commit of its module builds with helper programs.
NEWER_GVISOR = "20260907.0"
# The release of examples/requirements.
REQUIRED_GVISOR = "20250407.0"
REQUIRED = ("?priority(required)", "apt", "criu")
SUITES = {"trixie": "trixie", "trixie-updates": "trixie-updates"}
PROGRAMS: Mapping[str, Sequence[str]] = {
    "slim": ("/usr/local/bin/runsc",),
    "full": (
        "/usr/local/sbin/runc",
        "/usr/bin/nvidia-ctk",
        "/usr/bin/nvidia-cdi-hook",
        "/usr/bin/nvidia-container-runtime",
        "/usr/bin/nvidia-container-runtime-hook",
    ),
}


@dataclass(frozen=True)
class Digests:
    """What versions.yaml pins of the stand-ins."""

    debian: str
    cuda: str
    runsc: str
    newer_gvisor: str
    required_gvisor: str
    runc: str
    key: str


@dataclass(frozen=True)
class Sites:
    """The folder with a folder for each host, and the digests in it."""

    folder: Path
    digests: Digests


def made(parts: Parts, progress: Callable[[str], None]) -> Sites:
    """Return the files of all hosts; make them once for each state of what they are made from."""
    names = (*REQUIRED, *parts.project.catalog.packages.base)
    gpg = ("base-files", "gpg", "gpg-agent")
    wanted = {"all": names, "debootstrap": ("debootstrap",), "gpg": gpg}
    found = apt.resolve(parts.project.pins.debian, wanted)
    images = [ROOT / f"out/{variant}/build.json" for variant in ("slim", "full")]
    inputs = [package.sha256 for packages in found.values() for package in packages]
    inputs.append(
        files_digest([*map(HERE.joinpath, MAKERS), *images, ROOT / "versions.yaml"], ROOT)
    )
    key = hashlib.sha256("".join(inputs).encode()).hexdigest()[:16]
    cache = CACHE / "upstream"
    with exclusive(cache, progress):
        target = cache / f"sites-{key}"
        if not target.exists():
            for old in cache.glob("sites-*"):
                shutil.rmtree(old)
            progress("making the files of the stand-in internet")
            with tempfile.TemporaryDirectory(prefix="part-", dir=cache) as scratch:
                digests = _make(Path(scratch), parts, found)
                (Path(scratch) / "sites/digests.json").write_text(json.dumps(asdict(digests)))
                (Path(scratch) / "sites").rename(target)
    return Sites(target, Digests(**json.loads((target / "digests.json").read_text())))


def _make(scratch: Path, parts: Parts, packages: Mapping[str, tuple[Package, ...]]) -> Digests:
    sites, pins = scratch / "sites", parts.project.pins
    versions = {name: pin.version for name, pin in pins.components.items()}
    registry = sites / hosts.HUB
    gpg = signing.unpack(apt.fetch(packages["gpg"], CACHE / "debs"), scratch / "gpg")
    debian, rotated, vendor = (Signer.make(gpg, name) for name in ("debian", "rotated", "nvidia"))
    _archives(sites / hosts.DEBIAN, packages["all"], scratch, debian)
    program = _debootstrap(packages["debootstrap"], scratch)
    layer = slim.make(sites / hosts.DEBIAN / "debian", program, scratch, debian)
    config = {
        "Cmd": ["bash"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    }
    name, _, tag = pins.debian.image.partition(":")
    image = hub.publish(registry, f"library/{name}", tag, layer, config)
    programs, helper = _programs(scratch), Path("/bin/true").read_bytes()
    wheel = parts.store.wheel(parts.locked.wheels["amd64"]["cuda-runtime"])
    _wheels(sites / "wheels", parts)
    cuda = nvidia.publish_image(registry, versions["cuda-runtime"], wheel, scratch)
    runsc = (programs / "runsc").read_bytes()
    old = gvisor.publish_file(sites / hosts.BUCKET, versions["gvisor"], runsc)
    new = gvisor.publish_archive(sites / hosts.BUCKET, NEWER_GVISOR, runsc, helper)
    required = gvisor.publish_file(sites / hosts.BUCKET, REQUIRED_GVISOR, runsc)
    toolkit = versions["nvidia-container-toolkit"]
    key = nvidia.publish_packages(
        sites / hosts.NVIDIA, programs, (f"{toolkit}-1", f"{toolkit}1-1"), vendor, rotated
    )
    runc = (programs / "runc").read_bytes()
    asset = f"opencontainers/runc/releases/download/v{versions['runc']}/runc.amd64"
    (sites / hosts.ASSETS / asset).parent.mkdir(parents=True)
    (sites / hosts.ASSETS / asset).write_bytes(runc)
    return Digests(image, cuda, old, new, required, hashlib.sha256(runc).hexdigest(), key)


def _wheels(folder: Path, parts: Parts) -> None:
    """The C compiler's wheel, under a name that pip accepts."""
    zig = parts.locked.wheels["amd64"]["zig"]
    folder.mkdir()
    name = f"{zig.project}-{zig.version}-py3-none-{zig.platform}.whl"
    shutil.copyfile(parts.store.wheel(zig), folder / name)


def _archives(site: Path, packages: tuple[Package, ...], scratch: Path, signer: Signer) -> None:
    """Debian's archives: the first has all packages."""
    folder = scratch / "debs"
    folder.mkdir()
    for package, file in zip(packages, apt.fetch(packages, CACHE / "debs"), strict=True):
        # As in Debian's pool, without the epoch.
        name = f"{package.name}_{package.version.rpartition(':')[2]}_amd64.deb"
        shutil.copyfile(file, folder / name)
    debs = sorted(folder.iterdir())
    repositories.debian(site / "debian", debs, SUITES, signer)
    security = {"trixie-security": "trixie-security"}
    repositories.debian(site / "debian-security", [], security, signer)


def _debootstrap(tools: tuple[Package, ...], scratch: Path) -> Path:
    (package,) = (each for each in tools if each.name == "debootstrap")
    (file,) = apt.fetch([package], CACHE / "debs")
    command = ["dpkg-deb", "--extract", str(file), str(scratch / "debootstrap")]
    subprocess.run(command, check=True)
    return scratch / "debootstrap"


def _programs(scratch: Path) -> Path:
    """The programs of the built images."""
    folder = scratch / "programs"
    for variant, paths in PROGRAMS.items():
        (scratch / variant).mkdir()
        image = archive.load(ROOT / f"out/{variant}/image.tar", scratch / variant)
        folder.mkdir(exist_ok=True)
        for path in paths:
            entry = image.find(path)
            assert entry, path
            image.extract(entry, folder / Path(path).name)
    return folder
