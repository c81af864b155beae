"""A small image, built with the same kinds of steps as worker images."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import record
from worker_images.engine import buildx
from worker_images.engine.endpoint import Endpoint

DOCKERFILE = Path(__file__).parent / "miniature" / "Dockerfile"
INPUTS = ("input.txt", "table.json")
COMMANDS = ("cat", "chmod", "install", "mkdir", "printf", "sh", "sleep")
OUTPUT = "part 1"


@dataclass(frozen=True)
class Miniature:
    """A built image: its archive, manifest digest and image ID."""

    archive: Path
    manifest: str
    image_id: str


def context(root: Path, folder: Path, epoch: int) -> Path:
    """Write the build context, with programs of a Debian root; return its folder."""
    programs = {"busybox": "busybox", "tini": "tini-static"}
    files = {
        f"usr/bin/{name}": (root / "usr/bin" / source).read_bytes()
        for name, source in programs.items()
    }
    links = {"bin": "usr/bin", **{f"usr/bin/{name}": "busybox" for name in COMMANDS}}
    (folder / "modules").mkdir(parents=True)
    _tar(folder / "base.tar", files, links, epoch)
    _tar(folder / "tools.tar", {"usr/local/tools/version": b"1\n"}, {}, epoch)
    (folder / "modules" / "module.txt").write_text("module\n")
    for name in INPUTS:
        shutil.copyfile(DOCKERFILE.with_name(name), folder / name)
    return folder


def _tar(path: Path, files: Mapping[str, bytes], links: Mapping[str, str], epoch: int) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o755, epoch
            tar.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mtime = tarfile.SYMTYPE, target, epoch
            tar.addfile(info)


def build(endpoint: Endpoint, folder: Path, archive: Path, epoch: int) -> Miniature:
    """Build the image as worker images are built."""
    job = buildx.Job(DOCKERFILE, folder, buildx.archive(archive), epoch)
    buildx.build(endpoint, {"miniature": job}, archive.with_suffix(".log"))
    manifest, image_id, _ = record.manifest(archive)
    return Miniature(archive, manifest, image_id)
