"""The rules F3, F12 and F14 of docs/launcher.md: flags, sockets, and what runsc refuses.

gVisor release-20260622.0: ValidateSpec, FixConfig and ResolveEnvs in runsc/specutils/specutils.go,
validateMount in fs.go, executeHook in hooks.go, isOverrideAllowed in runsc/config/flags.go.
"""

from collections.abc import Iterator

from worker_images.node import launch_view
from worker_images.node.container_files import ContainerFiles
from worker_images.node.finding import Problem, Problems, error, warning
from worker_images.node.hook_rules import STAGES
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.launch_view import BUNDLE, FLAG

SERVICES = ("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-mps", "nvidia-imex")
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


def sockets(request: LaunchRequest) -> Problems:
    """No mount is a socket of the driver's services, with which runsc may end with EOF."""
    for index, mount in request.mounts:
        source = request.source(mount)
        if source.is_socket() or _is_service(request, mount):
            yield error(
                f"mounts[{index}]",
                f"{source} is a socket: programs cannot connect to it, and runsc ends with EOF if"
                " one is already at its destination",
                "remove it; nvidia-ctk cdi generate: CDI_FEATURE_FLAGS=disable-ipc-discoverer",
            )


def _is_service(request: LaunchRequest, mount: dict[str, str]) -> bool:
    source = request.source(mount)
    named = "run" in source.parts and any(name in str(source) for name in SERVICES)
    return named and not source.is_file() and not source.is_dir()


def specification(request: LaunchRequest) -> Problems:
    """runsc accepts the specification: its members, variables, annotations, hooks and mounts."""
    yield from _members(request)
    yield from _annotations(request)
    yield from _hooks(request)
    yield from _mounts(request)
    root = request.root
    if root and not root.is_dir():
        yield warning(
            "root.path",
            f"{root} does not exist here: the image's own files were not checked",
            "run lint when the root is there",
        )


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


def _hooks(request: LaunchRequest) -> Iterator[Problem]:
    found = request.specification.get("hooks") or {}
    for stage in STAGES:
        for index, hook in enumerate(found.get(stage) or ()):
            if not hook["path"].startswith("/"):
                yield error(
                    f"hooks.{stage}[{index}]",
                    f"{hook['path']!r} is not an absolute path, which runsc refuses",
                    "write the absolute path of the program",
                )


def _mounts(request: LaunchRequest) -> Problems:
    for index, mount in enumerate(request.specification.get("mounts") or ()):
        where = f"mounts[{index}]"
        if not mount["destination"].startswith("/"):
            yield error(where, f"{mount['destination']} is not an absolute path", "write one")
        if not launch_view.is_bind(mount):
            continue
        if shared := {"shared", "rshared"} & {*(mount.get("options") or ())}:
            yield error(where, f"runsc refuses the option {min(shared)}", "use rprivate or rslave")
        if not request.source(mount).exists() and not _is_service(request, mount):
            yield error(
                where,
                f"{request.source(mount)} does not exist, with which runsc ends with EOF",
                "remove the mount, or create its source",
            )
    yield from _hidden(request)


def _hidden(request: LaunchRequest) -> Problems:
    """Yield mounts that a later one hides: runsc opens the later one's file in their place."""
    files = ContainerFiles.of(request)
    for destination, (index, source) in files.mounts.items():
        seen = files.behind(destination)
        if source and source.exists() and seen != source:
            is_there = seen is not None and seen.exists()
            effect = "programs see its file" if is_there else "runsc ends with EOF"
            yield (warning if is_there else error)(
                f"mounts[{index}]",
                f"a later mount hides {destination}: {effect}",
                "write mounts of folders before those of files in them",
            )
