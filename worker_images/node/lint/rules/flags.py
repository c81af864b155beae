"""The rule F3 of docs/launcher.md, and the part of F14 on flags and the annotations that set them.

gVisor release-20260622.0: isOverrideAllowed, Validate and the types of flags in runsc/config.
"""

import re

from worker_images.node.lint import view
from worker_images.node.lint.finding import Problem, Problems, error
from worker_images.node.lint.request import FALSE_VALUES, LaunchRequest, is_true
from worker_images.node.lint.view import FLAG

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
BOOLEAN = re.compile("1|t|T|true|True|TRUE|0|f|F|false|False|FALSE")
NUMBER = re.compile("0[xX][0-9a-fA-F]+|[0-9]+")
BOOLEANS = (
    "allow-connected-on-save",
    "debug",
    "debug-to-user-log",
    "net-disconnect-ok",
    "oci-seccomp",
    "pause-external-networking",
    "strace",
)
# What Go parses as a flag's value, and how a message names it.
VALUES = {
    **dict.fromkeys(BOOLEANS, (BOOLEAN, "true or false")),
    "host-uds": (re.compile("|none|open|create|all"), "none, open, create or all"),
    "qdisc": (re.compile("none|fifo|tbf"), "none, fifo or tbf"),
    **dict.fromkeys(("strace-log-size", "qdisc-tbf-rate", "qdisc-tbf-burst"), (NUMBER, "a number")),
}
MEDIUM = re.compile(r"(memory|self|dir=/[^,]*)?")
OVERLAY = re.compile(rf"none|(root|all):{MEDIUM.pattern}(,size=[^,]*)?")
OVERRIDE = "set the flag itself, or runsc's --allow-flag-override"


def forced_abi(request: LaunchRequest) -> Problems:
    """No flag forces the ABI of another driver, and none is reserved for gVisor's own tests."""
    for name, value in view.options(request).items():
        where = f"annotations.{FLAG}{name}" if name not in request.options else "flags"
        if name == "nvproxy-driver-version" and value not in ("", request.node.driver):
            yield error(
                where,
                f"--{name}={value} forces an ABI that may differ from the driver's",
                "remove it; a driver that runsc refuses needs another gVisor release",
            )
        if name.startswith("TESTONLY-"):
            yield error(where, f"--{name} is unsafe and only for gVisor's own tests", "remove it")


def flags(request: LaunchRequest) -> Problems:
    """Yield flags and values of annotations that runsc refuses."""
    for name, value in view.annotations(request).items():
        if name.startswith(FLAG):
            yield from _annotation(request, name, name.removeprefix(FLAG), value)
    overlay = view.overlay2(request)
    if not OVERLAY.fullmatch(overlay):
        where = f"annotations.{FLAG}overlay2"
        yield error(
            where if where.partition(".")[2] in view.annotations(request) else "flags",
            f"--overlay2={overlay} is not none or MOUNTS:MEDIUM",
            "use root:self, root:memory, all:memory or none",
        )
    else:
        yield from _together(request, overlay)


def _annotation(request: LaunchRequest, name: str, flag: str, value: str) -> Problems:
    """Yield what runsc refuses at an annotation that sets a flag."""
    pattern, kinds = VALUES.get(flag, (None, ""))
    if pattern and not pattern.fullmatch(value):
        yield error(f"annotations.{name}", f"{value!r}, but runsc takes {kinds}", "write one")
    elif not is_true(request.options, "allow-flag-override"):
        if flag not in FREE_FLAGS:
            problem = f"runsc refuses to set --{flag} by an annotation"
            yield error(f"annotations.{name}", problem, OVERRIDE)
        elif _loosens(flag, value):
            problem = f"runsc refuses to set --{flag}={value} by an annotation"
            yield error(f"annotations.{name}", problem, OVERRIDE)


def _loosens(flag: str, value: str) -> bool:
    """Report if an annotation sets a free flag to a value that only the flag itself may have."""
    return (
        (flag == "overlay2" and ":dir=" in value)
        or (flag == "oci-seccomp" and value.lower() in FALSE_VALUES)
        or (flag == "qdisc" and value != "tbf")
    )


def _together(request: LaunchRequest, overlay: str) -> Problems:
    """Yield flags that runsc refuses together; --overlay2 has a default."""
    found = view.options(request)
    has_overlay = view.makes_overlay(overlay)
    is_old = view.is_enabled(request, "overlay")
    if is_old and has_overlay:
        yield _refused("--overlay", f"--overlay2={overlay}", "use --overlay2=all:memory alone")
    elif found.get("file-access") == "shared" and (has_overlay or is_old):
        other = f"--overlay2={overlay}" if has_overlay else "--overlay"
        yield _refused("--file-access=shared", other, "add --overlay2=none, or remove the flag")
    host_uds = found.get("host-uds", "none")
    if view.is_enabled(request, "fsgofer-host-uds") and host_uds not in ("", "none"):
        other = f"--host-uds={host_uds}"
        yield _refused("--fsgofer-host-uds", other, "remove --fsgofer-host-uds")


def _refused(flag: str, other: str, step: str) -> Problem:
    return error("flags", f"runsc refuses {flag} with {other}", step)
