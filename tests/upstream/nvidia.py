"""NVIDIA's base image and its apt repository, from what the source packages builds."""

import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.upstream import hub, repositories
from tests.upstream.signing import Signer

FOLDER = "libnvidia-container/stable/deb/amd64"
TOOLKIT, BASE = "nvidia-container-toolkit", "nvidia-container-toolkit-base"
TOOLS, LIBRARY = "libnvidia-container-tools", "libnvidia-container1"
# The programs of each package.
PROGRAMS: Mapping[str, Sequence[str]] = {
    BASE: ("nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-runtime"),
    TOOLKIT: ("nvidia-container-runtime-hook",),
    TOOLS: ("nvidia-container-cli",),
    LIBRARY: (),
}
DEPENDS: Mapping[str, str] = {
    TOOLKIT: f"{BASE} (= {{0}}), {TOOLS} (>= {{0}}), libc6",
    TOOLS: f"{LIBRARY} (>= {{0}}), libc6",
}
CONTROL = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: NVIDIA CORPORATION <cudatools@nvidia.com>
Section: utils
Priority: optional
{depends}Description: stand-in for NVIDIA's {name}
"""
CLI = "#!/bin/sh\n# A stand-in: NVIDIA's program is not in any package registry.\nexit 1\n"
CUDA = "usr/local/cuda-12.8"
LIBRARIES = f"{CUDA}/targets/x86_64-linux/lib"
# An image of CUDA 12.8 has the user-mode driver of 570.86.10 for older nodes.
COMPAT = "libcuda.so.570.86.10"
VARIABLES = (
    "PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "NVARCH=x86_64",
    "NVIDIA_REQUIRE_CUDA=cuda>=12.8",
    "NV_CUDA_CUDART_VERSION=12.8.57-1",
    "CUDA_VERSION=12.8.0",
    "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "NVIDIA_VISIBLE_DEVICES=all",
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
)


def publish_image(registry: Path, tag: str, wheel: Path, folder: Path) -> str:
    """Add the base image to a registry's files; return its digest."""
    with zipfile.ZipFile(wheel) as archive:
        library = archive.read("nvidia/cuda_runtime/lib/libcudart.so.12")
    files = {
        f"{LIBRARIES}/libcudart.so.12.8.57": library,
        f"{CUDA}/compat/{COMPAT}": b"\x7fELF another libcuda",
        "etc/ld.so.conf.d/000_cuda.conf": b"/usr/local/cuda/targets/x86_64-linux/lib\n",
        "etc/ld.so.conf.d/988_cuda-12.conf": b"/usr/local/cuda-12/targets/x86_64-linux/lib\n",
        "etc/ld.so.conf.d/nvidia.conf": b"/usr/local/nvidia/lib\n/usr/local/nvidia/lib64\n",
        "etc/ld.so.conf.d/x86_64-linux-gnu.conf": b"# of Ubuntu\n/usr/lib/x86_64-linux-gnu\n",
        "NGC-DL-CONTAINER-LICENSE": b"a licence\n",
    }
    links = {
        f"{LIBRARIES}/libcudart.so.12": "libcudart.so.12.8.57",
        f"{CUDA}/lib64": "targets/x86_64-linux/lib",
        f"{CUDA}/compat/libcuda.so.1": COMPAT,
        f"{CUDA}/compat/libcuda.so": "libcuda.so.1",
        "usr/local/cuda": "/etc/alternatives/cuda",
        "etc/alternatives/cuda": f"/{CUDA}",
        "usr/local/cuda-12": "/etc/alternatives/cuda-12",
        "etc/alternatives/cuda-12": f"/{CUDA}",
    }
    layer = folder / "cuda.tar"
    with tarfile.open(layer, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    settings = {"Env": list(VARIABLES), "Labels": {"maintainer": "NVIDIA CORPORATION"}}
    return hub.publish(registry, "nvidia/cuda", tag, layer, settings)


def publish_packages(
    site: Path, programs: Path, versions: Sequence[str], signer: Signer, other: Signer
) -> str:
    """Write the repository with all versions and its key; return the SHA-256 of the key.

    InRelease.other is signed by another key, as after a rotation.
    """
    folder = site / FOLDER
    folder.mkdir(parents=True)
    debs = [_package(name, version, programs, folder) for version in versions for name in PROGRAMS]
    repositories.flat(folder, debs, signer)
    other.sign(folder / "Release", folder / "InRelease.other", "--clearsign")
    key = site / "libnvidia-container/gpgkey"
    shutil.copy(signer.public, key)
    return hashlib.sha256(key.read_bytes()).hexdigest()


def _package(name: str, version: str, programs: Path, into: Path) -> Path:
    root = into / "package"
    (root / "DEBIAN").mkdir(parents=True)
    depends = DEPENDS.get(name, "libc6").format(version)
    control = CONTROL.format(name=name, version=version, depends=f"Depends: {depends}\n")
    (root / "DEBIAN/control").write_text(control)
    for program in PROGRAMS[name]:
        target = root / "usr/bin" / program
        target.parent.mkdir(parents=True, exist_ok=True)
        if (programs / program).exists():
            shutil.copy(programs / program, target)
        else:
            target.write_text(CLI)
        target.chmod(0o755)
    if name == LIBRARY:
        _libraries(root / "usr/lib/x86_64-linux-gnu", version.partition("-")[0])
    licence = root / f"usr/share/doc/{name}/copyright"
    licence.parent.mkdir(parents=True)
    licence.write_text("Apache-2.0\n")
    file = into / f"{name}_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(root), str(file)]
    subprocess.run(command, capture_output=True, check=True)
    shutil.rmtree(root)
    return file


def _libraries(folder: Path, release: str) -> None:
    folder.mkdir(parents=True)
    for name in ("libnvidia-container", "libnvidia-container-go"):
        (folder / f"{name}.so.{release}").write_bytes(b"\x7fELF a stand-in")
        (folder / f"{name}.so.1").symlink_to(f"{name}.so.{release}")
