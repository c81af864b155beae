"""The part of rule F14 of docs/launcher.md on annotations, other than those that are flags.

gVisor release-20260622.0: FixConfig, ValidateSpec and RootfsTarUpperPath in
runsc/specutils/specutils.go, and runsc/boot/mount_hints.go.
"""

import re
from collections.abc import Mapping

from worker_images.node.lint import view
from worker_images.node.lint.finding import Problems, error
from worker_images.node.lint.request import ROOT, LaunchRequest
from worker_images.node.lint.rules.flags import MEDIUM
from worker_images.node.lint.view import BUNDLE, KINDS

MOUNT = "dev.gvisor.spec.mount."
TAR = "dev.gvisor.tar.rootfs.upper"
# The container's name in its pod, of containerd alone (runsc/specutils/cri.go).
NAME = "io.kubernetes.cri.container-name"
ROOT_KEYS = frozenset({"source", "type", "overlay", "options", "directfs"})
ROOT_OPTIONS = re.compile(r"size=[^,]*(,size=[^,]*)*")


def annotations(request: LaunchRequest) -> Problems:
    """Yield annotations that runsc refuses, other than flags."""
    for name, value in view.annotations(request).items():
        if name.startswith(BUNDLE) and value != "true":
            yield error(f"annotations.{name}", f"{value!r}, but runsc takes only true", "remove it")
    yield from _kind(request)
    yield from _root_annotations(request)
    yield from _tar(request)
    yield from _mount_annotations(request)


def _kind(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses in the annotations of containerd and CRI-O."""
    found = view.annotations(request)
    for name, sandbox in KINDS.items():
        kind = found.get(name, "sandbox")
        if kind not in ("sandbox", "container"):
            yield error(
                f"annotations.{name}",
                f"{kind!r}, but runsc takes sandbox or container",
                "write one",
            )
        elif kind == "container" and sandbox not in found:
            yield error(
                f"annotations.{name}",
                f"a container without the annotation {sandbox}, which runsc refuses",
                "add it, or remove this one",
            )


def _root_annotations(request: LaunchRequest) -> Problems:
    own = view.root_annotations(request)
    if own and not {"source", "type"} <= own.keys():
        yield error(
            f"annotations.{ROOT}{min(own)}",
            f"runsc refuses it without {ROOT}source and {ROOT}type",
            "add them, or remove it",
        )
    if (kind := own.get("type", "bind")) not in ("bind", "erofs"):
        problem = f"{kind!r}, but runsc takes bind or erofs"
        yield error(f"annotations.{ROOT}type", problem, "write one")
    if not (source := own.get("source", "/")).startswith("/"):
        problem = f"{source!r} is not an absolute path, which runsc refuses"
        yield error(f"annotations.{ROOT}source", problem, "write one")
    medium = own.get("overlay", "")
    if not MEDIUM.fullmatch(medium):
        yield error(
            f"annotations.{ROOT}overlay",
            f"{medium!r} is not a medium of an overlay",
            "use self, memory, or no text for no overlay",
        )
    if unknown := sorted(own.keys() - ROOT_KEYS):
        yield error(
            f"annotations.{ROOT}{unknown[0]}",
            "runsc does not know it, and refuses it",
            f"use {', '.join(sorted(ROOT_KEYS))}; a size is {ROOT}options size=SIZE",
        )
    options = own.get("options", "size=1g")
    if not ROOT_OPTIONS.fullmatch(options):
        problem = f"{options!r} is not size=SIZE, which runsc refuses"
        yield error(f"annotations.{ROOT}options", problem, "write size=SIZE, such as size=10g")
    if (directfs := own.get("directfs", "off")) not in ("default", "off"):
        problem = f"{directfs!r}, but runsc takes default or off"
        yield error(f"annotations.{ROOT}directfs", problem, "write one")


def _tar(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses at the tar file for the root; a pod's has the container's name."""
    found = view.annotations(request)
    container = found.get(NAME, "")
    name = f"{TAR}.{container}" if container else TAR
    is_read = found.get(name) and (container or not {*KINDS} & found.keys())
    if is_read and not view.is_enabled(request, "allow-rootfs-tar-annotation"):
        yield error(
            f"annotations.{name}",
            "runsc refuses it without --allow-rootfs-tar-annotation",
            "add the flag, or remove the annotation",
        )
    elif is_read and (request.specification.get("root") or {}).get("readonly"):
        yield error(
            f"annotations.{name}", "runsc refuses it with a read-only root", "remove one of them"
        )


def _mount_annotations(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses in a sandbox's annotations of mounts; it skips unknown values."""
    found, sources = view.annotations(request), dict[str, str]()
    if view.joins_a_pod(request):
        return
    for name in sorted(each for each in found if each.startswith(MOUNT)):
        volume, *keys = name.removeprefix(MOUNT).split(".")
        if not volume or len(keys) != 1:
            yield error(
                f"annotations.{name}",
                f"runsc refuses a name that is not {MOUNT}NAME.KEY",
                "write a NAME without dots",
            )
        elif keys == ["source"] and _is_complete(found, f"{MOUNT}{volume}."):
            other = sources.setdefault(found[name], volume)
            if other != volume:
                yield error(
                    f"annotations.{name}",
                    f"{other} and {volume} have the same source, which runsc refuses",
                    "describe a source once",
                )


def _is_complete(found: Mapping[str, str], prefix: str) -> bool:
    """Report if runsc uses the annotations of a mount, which need a type and a share."""
    kind, share = found.get(f"{prefix}type"), found.get(f"{prefix}share")
    return kind in ("bind", "tmpfs") and share in ("container", "pod", "shared")
