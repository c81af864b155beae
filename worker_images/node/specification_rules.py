"""The rules F3 and F14 of docs/launcher.md: flags, and specifications that runsc refuses.

gVisor release-20260622.0: ValidateSpec, FixConfig and ResolveEnvs in runsc/specutils/specutils.go,
executeHook in hooks.go, isOverrideAllowed and Overlay2 in runsc/config.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from worker_images.node import launch_view, mount_rules
from worker_images.node.finding import Problems, error
from worker_images.node.hook_rules import STAGES, is_nvidias
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.launch_view import BUNDLE, FLAG, KINDS, ROOT
from worker_images.node.specification_types import CAPABILITY_SETS

# Flags that an annotation may set without --allow-flag-override.
FREE_FLAGS = frozenset(
    {
        "debug",
        "debug-command",
        "debug-to-user-log",
        "strace",
        "strace-syscalls",
        "strace-log-size",
        "host-uds",
        "net-disconnect-ok",
        "reproduce-nftables",
        "overlay2",
        "oci-seccomp",
        "pause-external-networking",
        "allow-connected-on-save",
        "qdisc",
        "qdisc-tbf-rate",
        "qdisc-tbf-burst",
    }
)


MEDIUM = re.compile(r"(memory|self|dir=/[^,]*)?")
OVERLAY = re.compile(rf"none|(root|all):{MEDIUM.pattern}(,size=[^,]*)?")
MOUNT = "dev.gvisor.spec.mount."
TAR = "dev.gvisor.tar.rootfs.upper"
# capFromName: those of Linux 5.9.
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = frozenset(f"CAP_{name}" for name in NAMES.split())
PROPAGATIONS = frozenset({"", "private", "rprivate", "slave", "rslave"})


def forced_abi(request: LaunchRequest) -> Problems:
    """No flag forces the ABI of another driver, and none is reserved for gVisor's own tests."""
    for name, value in launch_view.options(request).items():
        where = f"annotations.{FLAG}{name}" if name not in request.options else "flags"
        if name == "nvproxy-driver-version" and value not in ("", request.node.driver):
            yield error(
                where,
                f"--{name}={value} forces an ABI that may differ from the driver's",
                "remove it; a driver that runsc refuses needs another gVisor release",
            )
        if name.startswith("TESTONLY-"):
            yield error(where, f"--{name} is unsafe and only for gVisor's own tests", "remove it")


def specification(request: LaunchRequest) -> Problems:
    """runsc accepts the specification: its members, variables, annotations, hooks and mounts."""
    yield from _members(request)
    yield from _annotations(request)
    yield from _hooks(request)
    yield from mount_rules.mounts(request)
    yield from mount_rules.root(request)


def _members(request: LaunchRequest) -> Problems:
    process = request.specification.get("process") or {}
    root = request.specification.get("root") or {}
    if not process.get("args"):
        yield error("process.args", "no command, which runsc refuses", "add one")
    if not root.get("path"):
        yield error("root.path", "no root, which runsc refuses", "add one")
    if process.get("selinuxLabel"):
        yield error(
            "process.selinuxLabel",
            "runsc does not support SELinux and refuses a label",
            "remove it",
        )
    propagation = (request.specification.get("linux") or {}).get("rootfsPropagation") or ""
    if propagation not in PROPAGATIONS:
        yield error(
            "linux.rootfsPropagation",
            f"{propagation}, which runsc refuses",
            "use rprivate or rslave",
        )
    for name, found in (process.get("capabilities") or {}).items():
        if name in CAPABILITY_SETS and (unknown := sorted({*(found or ())} - CAPABILITIES)):
            yield error(
                f"process.capabilities.{name}",
                f"runsc does not know {', '.join(unknown)}, and ends with EOF",
                "remove it; names are those of capabilities(7), such as CAP_MKNOD",
            )
    wrong = [pair for pair in process.get("env") or () if "=" not in pair]
    if wrong:
        yield error(
            "process.env",
            f"{wrong[0] or 'an empty variable'} has no =, with which runsc ends with EOF",
            "write NAME=VALUE, or remove it",
        )


def _annotations(request: LaunchRequest) -> Problems:
    may_override = request.is_enabled("allow-flag-override")
    for name, value in launch_view.annotations(request).items():
        flag = name.removeprefix(FLAG)
        if name.startswith(FLAG) and flag not in FREE_FLAGS and not may_override:
            yield error(
                f"annotations.{name}",
                f"runsc refuses to set --{flag} by an annotation",
                "set the flag itself, or runsc's --allow-flag-override",
            )
        if name.startswith(BUNDLE) and value != "true":
            yield error(f"annotations.{name}", f"{value!r}, but runsc takes only true", "remove it")
    yield from _kind(request)
    yield from _root_annotations(request)
    yield from _mount_annotations(request)
    overlay = launch_view.options(request).get("overlay2", "none")
    if not OVERLAY.fullmatch(overlay):
        where = f"annotations.{FLAG}overlay2"
        yield error(
            where if where.partition(".")[2] in launch_view.annotations(request) else "flags",
            f"--overlay2={overlay} is not none or MOUNTS:MEDIUM",
            "use root:self, root:memory, all:memory or none",
        )


def _kind(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses in the annotations of containerd and CRI-O."""
    found = launch_view.annotations(request)
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
    found = launch_view.annotations(request)
    own = {name.removeprefix(ROOT) for name in found if name.startswith(ROOT)}
    if own and not {"source", "type"} <= own:
        yield error(
            f"annotations.{ROOT}{min(own)}",
            f"runsc refuses it without {ROOT}source and {ROOT}type",
            "add them, or remove it",
        )
    if (kind := found.get(f"{ROOT}type", "bind")) not in ("bind", "erofs"):
        problem = f"{kind!r}, but runsc takes bind or erofs"
        yield error(f"annotations.{ROOT}type", problem, "write one")
    if not (source := found.get(f"{ROOT}source", "/")).startswith("/"):
        problem = f"{source!r} is not an absolute path, which runsc refuses"
        yield error(f"annotations.{ROOT}source", problem, "write one")
    medium = found.get(f"{ROOT}overlay", "")
    if not MEDIUM.fullmatch(medium):
        yield error(
            f"annotations.{ROOT}overlay",
            f"{medium!r} is not a medium of an overlay",
            "use self, memory, or no text for no overlay",
        )
    if TAR in found and not launch_view.is_enabled(request, "allow-rootfs-tar-annotation"):
        yield error(
            f"annotations.{TAR}",
            "runsc refuses it without --allow-rootfs-tar-annotation",
            "add the flag, or remove the annotation",
        )


def _mount_annotations(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses in a sandbox's annotations of mounts; it skips unknown values."""
    found, sources = launch_view.annotations(request), dict[str, str]()
    if any(found.get(name) == "container" for name in KINDS):
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


def _hooks(request: LaunchRequest) -> Problems:
    found = request.specification.get("hooks") or {}
    for stage in STAGES:
        is_run = not request.host and not (stage == "createContainer" and request.has_erofs_root)
        for index, hook in enumerate(found.get(stage) or ()):
            path, where = hook["path"], f"hooks.{stage}[{index}]"
            if not path.startswith("/"):
                yield error(
                    where,
                    f"{path!r} is not an absolute path, which runsc refuses",
                    "write the absolute path of the program",
                )
            # Rule F8 is for NVIDIA's hooks.
            elif is_run and not is_nvidias(path) and _is_missing(path):
                yield error(where, f"{path} does not exist", "remove the hook, or install it")


def _is_missing(path: str) -> bool:
    try:
        return not Path(path).is_file()
    except OSError:
        # Docker's is /proc/N/exe, which may be closed to this user.
        return False
