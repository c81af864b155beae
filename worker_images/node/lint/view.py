"""What runsc reads in a request: paths, flags with annotations over them, and NVIDIA's hook.

gVisor release-20260622.0: runsc/specutils/{specutils,nvidia}.go and runsc/config/flags.go.
"""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from worker_images.node.lint.request import ROOT, LaunchRequest, is_true, says_bind

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
CDI_HOOK, LEGACY_HOOK = "/nvidia-cdi-hook", "/nvidia-container-runtime-hook"
FLAG = "dev.gvisor.flag."
NVPROXY = "dev.gvisor.internal.nvproxy"
# Values that Go parses as true.
TRUE_VALUES = {"1", "t", "true"}
# A bundle is a set of flags. It is applied before the annotations that are flags.
BUNDLE, BUNDLES = "dev.gvisor.bundle.", {"experimental-high-performance": {"overlay2": "root:self"}}

# What a container is, and the annotation that names its sandbox (runsc/specutils/cri.go).
KINDS = {
    "io.kubernetes.cri.container-type": "io.kubernetes.cri.sandbox-id",
    "io.kubernetes.cri-o.ContainerType": "io.kubernetes.cri-o.SandboxID",
}
# The value of --overlay2 without the flag.
OVERLAY = "root:self"
Specification = Mapping[str, Any]


def with_absolute_paths(specification: Specification, bundle: Path) -> Specification:
    """Return a specification whose relative paths are below the bundle, as runsc reads them."""

    def absolute(path: str) -> str:
        return posixpath.normpath(bundle.absolute() / path) if path else path

    changed = dict(specification)
    if root := specification.get("root"):
        changed["root"] = {**root, "path": absolute(root.get("path", ""))}
    if mounts := specification.get("mounts"):
        changed["mounts"] = [
            {**mount, "source": absolute(mount["source"])} if is_bind(mount) else mount
            for mount in mounts
        ]
    return changed


def is_bind(mount: Mapping[str, Any]) -> bool:
    """Report if runsc takes a mount as a bind mount: it says so, and has a source."""
    return bool(mount.get("source")) and says_bind(mount)


def bind_source(request: LaunchRequest, mount: Mapping[str, Any]) -> Path | None:
    """Return the source of a bind mount on the node; None for another mount, such as a tmpfs."""
    return request.source(mount) if is_bind(mount) else None


def annotations(request: LaunchRequest) -> Mapping[str, str]:
    """Return the specification's annotations."""
    return request.specification.get("annotations") or {}


def root_annotations(request: LaunchRequest) -> dict[str, str]:
    """Return the annotations that change the root, without their common beginning."""
    return {
        name.removeprefix(ROOT): value
        for name, value in annotations(request).items()
        if name.startswith(ROOT)
    }


def options(request: LaunchRequest) -> dict[str, str]:
    """Return runsc's flags; an annotation replaces a flag."""
    found = dict(request.options)
    for name, value in annotations(request).items():
        if name.startswith(BUNDLE) and value == "true":
            found |= BUNDLES.get(name.removeprefix(BUNDLE), {})
    return found | {
        name.removeprefix(FLAG): value
        for name, value in annotations(request).items()
        if name.startswith(FLAG)
    }


def is_enabled(request: LaunchRequest, name: str) -> bool:
    """Report if a boolean flag is set to true."""
    return is_true(options(request), name)


def allows_nvproxy(request: LaunchRequest) -> bool:
    """Report if a flag or an annotation switches nvproxy on, also without a device."""
    by_annotation = annotations(request).get(NVPROXY, "").lower() in TRUE_VALUES
    return by_annotation or is_enabled(request, "nvproxy")


def requests_compute(request: LaunchRequest) -> bool:
    """Report if programs of the container may use CUDA; it is so without the variable."""
    words = request.environment.get(CAPABILITIES, "").split(",")
    requested = {name.strip() for name in words} - {""}
    return not requested or bool(requested & {"all", "compute"})


def visible_devices(request: LaunchRequest) -> str:
    """Return NVIDIA_VISIBLE_DEVICES if runsc acts on it, which it does only with NVIDIA's hook.

    A CDI hook appends a value `void`, which runsc skips if there is one before it.
    """
    pairs = ((request.specification.get("process") or {}).get("env")) or []
    values = [pair.partition("=")[2] for pair in pairs if pair.startswith(f"{VISIBLE}=")]
    kind = _hook(request)
    if kind == CDI_HOOK and values[-1:] == ["void"]:
        values = values[-2:-1]
    value = values[-1] if kind and values else ""
    return "" if value == "void" else value


def _hook(request: LaunchRequest) -> str:
    hooks = request.specification.get("hooks") or {}
    if _has_hook(hooks.get("createContainer"), CDI_HOOK):
        return CDI_HOOK
    is_legacy = _has_hook(hooks.get("prestart"), LEGACY_HOOK)
    return LEGACY_HOOK if is_legacy or is_enabled(request, "nvproxy-docker") else ""


def _has_hook(hooks: Iterable[Mapping[str, Any]] | None, name: str) -> bool:
    return any(hook["path"].endswith(name) for hook in hooks or ())


def uses_nvproxy(request: LaunchRequest) -> bool:
    """Report if runsc gives the container its own devices of the driver."""
    paths = {device["path"] for _, device in request.devices}
    return "/dev/nvidiactl" in paths or bool(visible_devices(request))


def joins_a_pod(request: LaunchRequest) -> bool:
    """Report if the container is a later one of a pod, whose sandbox runs already."""
    found = annotations(request)
    return any(found.get(name) == "container" for name in KINDS)


def names_user_namespace(request: LaunchRequest) -> bool:
    """Report if the specification has a user namespace."""
    namespaces = (request.specification.get("linux") or {}).get("namespaces") or ()
    return any(each.get("type") == "user" for each in namespaces)


def has_user_namespace(request: LaunchRequest) -> bool:
    """Report if runsc starts the container in a user namespace: also for directfs, its default."""
    found = options(request)
    is_direct = is_true({"directfs": "true", **found}, "directfs")
    return names_user_namespace(request) or (is_direct and found.get("network") != "host")


def overlay2(request: LaunchRequest) -> str:
    """Return the value of --overlay2, which has a default."""
    return options(request).get("overlay2", OVERLAY)


def makes_overlay(value: str) -> bool:
    """Report if a value of --overlay2 makes an overlay.

    It is none, or MOUNTS:MEDIUM,size=SIZE; without a medium there is no overlay.
    """
    overlay = value.partition(",")[0]
    return overlay != "none" and not overlay.endswith(":")


def has_mount_overlays(request: LaunchRequest) -> bool:
    """Report if mounts that are not read-only have an overlay, too."""
    value = overlay2(request)
    is_all = value.startswith("all:") and makes_overlay(value)
    return is_all or is_enabled(request, "overlay")


def has_root_overlay(request: LaunchRequest) -> bool:
    """Report if device nodes of the root stay closed: it has an overlay or is read-only."""
    if (request.specification.get("root") or {}).get("readonly"):
        return True
    if own := root_annotations(request):
        return own.get("overlay", "") != "" or own.get("type") != "bind"
    return makes_overlay(overlay2(request)) or is_enabled(request, "overlay")
