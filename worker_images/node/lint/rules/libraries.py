"""The rules F4 and F5 of docs/launcher.md, on the driver's libraries."""

import platform
import posixpath
import re

from worker_images.node.lint import libraries, loader, view
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.finding import Problem, Problems, error, warning
from worker_images.node.lint.libraries import Libraries
from worker_images.node.lint.loader import Loader
from worker_images.node.lint.request import LaunchRequest

# NVIDIA's packages have compat, and NGC's images compat/lib and compat/lib.real.
FORWARD = re.compile(r"compat(/lib(\.real)?)?$")


def libcuda(request: LaunchRequest) -> Problems:
    """A container with GPUs has the libcuda of the node's driver, and programs load that one."""
    driver = request.node.driver
    if view.uses_nvproxy(request) and not driver:
        yield error(
            "linux.devices",
            "NVIDIA devices, but no driver is loaded on the node",
            "load the driver's modules, or remove the devices",
        )
    elif _needs_libcuda(request):
        found = libraries.read(request)
        if not found.of(driver):
            yield _missing(request, found)
        elif found.loaded and found.loaded.version != driver:
            yield _another(request, found.loaded.path, found.loaded.version)
        elif found.loaded:
            yield from _without_programs(request, found.files, found.loaded.path)


def _without_programs(request: LaunchRequest, files: ContainerFiles, path: str) -> Problems:
    """Yield noexec on the mount of a library; of exec and noexec the last one counts."""
    if not (holder := files.holder(path)):
        return
    index, _ = files.mounts[holder]
    options = request.specification["mounts"][index].get("options") or ()
    if [each for each in options if each in ("exec", "noexec")][-1:] == ["noexec"]:
        yield error(
            f"mounts[{index}].options",
            f"noexec, with which programs cannot load {path}",
            "remove noexec from the mounts of the driver's libraries",
        )


def _needs_libcuda(request: LaunchRequest) -> bool:
    """Report if GPUs come from the specification, and with them libcuda."""
    return bool(request.gpus) and not view.visible_devices(request)


def _missing(request: LaunchRequest, found: Libraries) -> Problem:
    others = ", ".join(sorted(library.path for library in found.found))
    problem = (
        f"devices, but no mount of libcuda.so.{request.node.driver}"
        f"{f', only {others}' if others else ''}"
    )
    step = "mount the driver's files of this node: python3 -m worker_images.node bundle"
    if not view.requests_compute(request):
        return warning("mounts", f"{problem}; only programs without CUDA work", step)
    return error("mounts", problem, step)


def _another(request: LaunchRequest, path: str, version: str) -> Problem:
    driver, step = request.node.driver, "put the folder of the driver's own libcuda first"
    if not version and posixpath.basename(posixpath.dirname(path)) == "stubs":
        return error(
            "process.env",
            f"libcuda.so.1 is {path}, a stub of the CUDA toolkit, with which every call fails",
            step,
        )
    if not version:
        return warning(
            "process.env", f"libcuda.so.1 is {path}, whose name has no version of a driver", step
        )
    problem = f"libcuda.so.1 is {path}, but the driver is {driver}"
    is_newer = int(version.partition(".")[0]) > int(driver.partition(".")[0])
    if is_newer and FORWARD.search(posixpath.dirname(path)):
        return warning(
            "process.env",
            f"{problem}; NVIDIA's forward compatibility is for its data-center GPUs alone",
            step,
        )
    return error("process.env", problem, step)


def library_path(request: LaunchRequest) -> Problems:
    """The image's loader finds the mounted libcuda: it searches the folder with libcuda.so.1."""
    if not _needs_libcuda(request) or not request.node.driver:
        return
    found = libraries.read(request)
    if found.loader.foreign:
        yield error(
            "root.path",
            f"the image is for {found.loader.foreign}, but the node is {platform.machine()}",
            f"use the image for {platform.machine()}",
        )
        return
    if found.loader.libc == loader.MUSL:
        yield warning(
            "root",
            "the image's C library is musl, with which NVIDIA's libraries do not load",
            "use an image with glibc",
        )
    if found.loader.hidden:
        yield error(
            "mounts",
            f"a mount hides {found.loader.hidden}, without which no program of the image starts",
            "mount the driver's files into a folder of their own",
        )
    if found.loaded:
        return
    its_loader, resolve = found.loader, found.files.resolve
    searched = {resolve(each) for each in (*its_loader.path, *its_loader.own)}
    configured = {resolve(each) for each in its_loader.configured}
    for folder in dict.fromkeys(library.folder for library in found.of(request.node.driver)):
        if folder not in searched:
            yield _unsearched(its_loader, folder, is_configured=folder in configured)
        if not found.files.file(f"{folder}/libcuda.so.1"):
            yield error(
                "mounts",
                f"no link {folder}/libcuda.so.1",
                "mount a folder with the SONAME links, such as python3 -m worker_images.node bundle"
                " writes",
            )


def _unsearched(its_loader: Loader, folder: str, *, is_configured: bool) -> Problem:
    step = f"put {folder} first in LD_LIBRARY_PATH"
    if is_configured:
        return warning(
            "process.env",
            f"{folder} is in /etc/ld.so.conf, but not in the loader's cache: programs find libcuda"
            " only after ldconfig ran in the container",
            step,
        )
    if its_loader.libc == loader.UNKNOWN:
        return warning(
            "process.env",
            f"{folder} is not in LD_LIBRARY_PATH, and the root has no known loader that may search"
            " it",
            step,
        )
    own = ", ".join(its_loader.own)
    return error(
        "process.env",
        f"{folder} is not in LD_LIBRARY_PATH; the image's loader searches only {own}",
        step,
    )
