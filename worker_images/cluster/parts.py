"""The node's files: a Debian root, Kubernetes, and the runtimes of worker:full."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from worker_images.build import provision
from worker_images.build.go_programs import Parts, Program
from worker_images.build.inputs import CLUSTER
from worker_images.build.record import Record
from worker_images.build.tars import Progress
from worker_images.cluster.settings import PAUSE
from worker_images.errors import UsageError
from worker_images.files import atomic_path, text_digest
from worker_images.model.oci import archive
from worker_images.model.oci.image import ImageError
from worker_images.model.tree import Tree

FOLDER = Path("scripts/cluster")
VERSION = "v1.35.4"
VERSIONS = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
# The names by which the program is called: scripts/cluster/kubernetes.go.
NAMES = (
    "gpu-plugin",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
# Of worker:full.
RUNTIMES = (
    "/usr/local/sbin/runc",
    "/usr/bin/nvidia-cdi-hook",
    "/usr/bin/nvidia-container-runtime",
    "/usr/bin/nvidia-ctk",
)


def kubernetes(parts: Parts) -> Program:
    """Return the program of Kubernetes."""
    versions = " ".join(f"-X {name}.gitVersion={VERSION}" for name in VERSIONS)
    flags = ("-ldflags", f"-s -w {versions}")
    return Program("kubernetes", ".", parts.project.checkout / FOLDER, flags)


def pause(parts: Parts, progress: Progress) -> Path:
    """Return the program of pods' sandboxes."""
    folder = parts.project.checkout / FOLDER / "pause"
    return Program("pause", ".", folder, ("-ldflags", "-s -w")).compiled(parts, progress)


def is_unpacked(parts: Parts, state: Path) -> bool:
    """Whether the root filesystem of the node exists."""
    return provision.tools_path(CLUSTER, state, parts.project, parts.locked).exists()


def debian(parts: Parts, state: Path, progress: Progress) -> Path:
    """Return the root filesystem of the node, unpacked once for each lock."""
    return provision.ensure_tools(
        CLUSTER, state, parts.project, parts.locked, parts.store, progress
    )


def write_programs(root: Path, program: Path, folder: Path, progress: Progress) -> None:
    """Write the node's programs to a folder, if they differ from those that it has.

    `program` is that of Kubernetes; the runtimes are those of worker:full, of the project or else
    of its checkout.
    """
    full = Tree(root).find("out/full/image.tar").parent
    built = Record.read(full / "build.json")
    if built is None or not (full / "image.tar").is_file():
        raise UsageError("the node needs the runtimes of worker:full; run: make full")
    key = text_digest(f"{program.name} {built.image_id}")
    stamp = folder / "key"
    if stamp.is_file() and stamp.read_text() == key:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy2(program, folder / "kubernetes")
    for name in NAMES:
        (folder / name).symlink_to("kubernetes")
    progress("reading the runtimes of worker:full")
    _extract(full / "image.tar", folder)
    stamp.write_text(key)


def _extract(image: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        found = archive.load(image, Path(scratch))
        for path in RUNTIMES:
            entry = found.find(path)
            if entry is None:
                raise ImageError(f"{image}: no {path}")
            target = folder / Path(path).name
            found.extract(entry, target)
            target.chmod(0o755)


def write_pause_image(program: Path, target: Path) -> None:
    """Write a docker archive of an image that holds only the program."""
    layer = _tar({"pause": program.read_bytes()}, mode=0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    with atomic_path(target) as part:
        part.write_bytes(_tar(files, mode=0o644))


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
