"""Kernel settings that runsc depends on: good values, and what other values break."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UNLIMITED = 2**63


@dataclass(frozen=True)
class Setting:
    """The good values, how severe other values are, why, and a command that sets a good one."""

    good: range
    state: Literal["warning", "fault"]
    why: str
    fix: str
    # Without a good value, only root can create a sandbox.
    unprivileged: bool = False


SETTINGS: Mapping[str, Setting] = {
    "user.max_user_namespaces": Setting(
        range(2, UNLIMITED),
        "fault",
        "runsc creates one for its sandbox and one for its gofer",
        "sysctl -w {}=256",
        unprivileged=True,
    ),
    # A setting of Debian.
    "kernel.unprivileged_userns_clone": Setting(
        range(1, UNLIMITED),
        "fault",
        "the tests start runsc without root",
        "sysctl -w {}=1",
        unprivileged=True,
    ),
    # A setting of Ubuntu: a user namespace is created, but has no capabilities.
    "kernel.apparmor_restrict_unprivileged_userns": Setting(
        range(1),
        "warning",
        "the tests start runsc without root",
        "sysctl -w {}=0",
        unprivileged=True,
    ),
    # With 2, tracing needs CAP_SYS_PTRACE, which runsc has in its own user namespace; 3 cannot be
    # changed until the next boot.
    "kernel.yama.ptrace_scope": Setting(
        range(3),
        "fault",
        "runsc traces its processes",
        "echo {}=1 >/etc/sysctl.d/90-runsc.conf; reboot",
    ),
    "vm.max_map_count": Setting(
        range(65530, UNLIMITED),
        "warning",
        "a sandbox dies when its mappings run out",
        "sysctl -w {}=4194304",
    ),
}


def values(folder: Path = Path("/proc/sys")) -> dict[str, int]:
    """The values of the settings that this kernel has."""
    found = {}
    for name in SETTINGS:
        try:
            found[name] = int((folder / name.replace(".", "/")).read_text())
        except (OSError, ValueError):
            continue
    return found


def forbids_unprivileged(found: Mapping[str, int], machine: str = "this machine") -> str:
    """Why these settings allow sandboxes to root only, and the fix; empty where all users can."""
    for name, value in found.items():
        setting = SETTINGS[name]
        if setting.unprivileged and value not in setting.good:
            return (
                f"{name} is {value}, so only root can create a sandbox on {machine};"
                f" {setting.fix.format(name)}"
            )
    return ""
