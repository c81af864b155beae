"""The rule F14 of docs/launcher.md: specifications that runsc refuses.

gVisor release-20260622.0: ValidateSpec in runsc/specutils/specutils.go, executeHook in hooks.go.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker_images.node import namespaces
from worker_images.node.lint import view
from worker_images.node.lint.finding import Problems, error
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import annotations, flags, mount_points, mounts, process
from worker_images.node.lint.rules.hooks import STAGES, is_nvidias

PROPAGATIONS = frozenset({"", "private", "rprivate", "slave", "rslave"})


def specification(request: LaunchRequest) -> Problems:
    """runsc accepts the specification: its members, variables, annotations, hooks and mounts."""
    yield from process.process(request)
    yield from _members(request)
    yield from flags.flags(request)
    yield from annotations.annotations(request)
    yield from _hooks(request)
    yield from mount_points.mounts(request)
    yield from mounts.root(request)


def _members(request: LaunchRequest) -> Problems:
    if not (request.specification.get("root") or {}).get("path"):
        yield error("root.path", "no root, which runsc refuses", "add one")
    for name in ("solaris", "windows"):
        if request.specification.get(name) is not None:
            yield error(name, "runsc does not support it, and refuses it", "remove it")
    linux = request.specification.get("linux") or {}
    propagation = linux.get("rootfsPropagation") or ""
    if propagation not in PROPAGATIONS:
        yield error(
            "linux.rootfsPropagation",
            f"{propagation}, which runsc refuses",
            "use rprivate or rslave",
        )
    yield from _namespaces(request, linux)


def _namespaces(request: LaunchRequest, linux: Mapping[str, Any]) -> Problems:
    """Yield namespaces that runsc cannot enter; it reads those of the network and of users."""
    has_network = view.options(request).get("network", "sandbox") != "none"
    opened = {"user", *(("network",) if has_network else ())}
    maps_users = any(linux.get(f"{name}Mappings") for name in ("uid", "gid"))
    for index, namespace in enumerate(linux.get("namespaces") or ()):
        where, kind = f"linux.namespaces[{index}]", namespace.get("type")
        path = namespace.get("path") or ""
        is_opened = path and kind in opened and not request.host
        if is_opened and (problem := _problem(Path(path))):
            step = "ip netns add NAME" if kind == "network" else "unshare --user"
            yield error(
                where,
                f"{path} {problem}, with which runsc fails",
                f"create the {kind} namespace first, where runsc runs: {step}",
            )
        elif kind == "user" and not path and not maps_users:
            yield error(
                where,
                "a user namespace without linux.uidMappings and linux.gidMappings, in which runsc"
                " cannot start",
                "add them, or remove the namespace",
            )
    has_own = view.names_user_namespace(request)
    if maps_users and not has_own and view.has_user_namespace(request):
        yield error(
            "linux.uidMappings" if linux.get("uidMappings") else "linux.gidMappings",
            "mappings without a user namespace, which runsc refuses",
            'add {"type": "user"} to linux.namespaces, or remove them',
        )


def _problem(path: Path) -> str:
    """Why runsc cannot enter a namespace by its path; empty if nothing is wrong with it."""
    if _is_missing(path):
        return "does not exist"
    return "is not a namespace" if namespaces.is_other_file(path) else ""


def _is_missing(path: Path) -> bool:
    """Report if a path does not exist; the one of another user's process may be closed."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


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
            elif is_run and not is_nvidias(path):
                yield from _program(where, path)
            if hook.get("timeout", 1) <= 0:
                yield error(
                    where,
                    f"a timeout of {hook['timeout']} seconds, with which runsc ends the hook at"
                    " once",
                    "remove the timeout, or write more seconds",
                )


def _program(where: str, path: str) -> Problems:
    try:
        if not Path(path).is_file():
            yield error(where, f"{path} does not exist", "remove the hook, or install it")
        elif not os.access(path, os.X_OK):
            yield error(where, f"{path} is not executable", f"chmod +x {path}")
    except OSError:
        # Docker's is /proc/N/exe, which may be closed to this user.
        return
