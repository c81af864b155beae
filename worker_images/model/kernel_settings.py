"""Kernel settings that decide whether runsc can start: values, and what each wrong one means."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MOST = 2**63


@dataclass(frozen=True)
class Setting:
    """The values that runsc works with, how bad others are, why, and what sets a good one."""

    good: range
    state: Literal["warning", "fault"]
    why: str
    fix: str
    # Without a good value no user but root makes a sandbox.
    unprivileged: bool = False


SETTINGS: Mapping[str, Setting] = {
    "user.max_user_namespaces": Setting(
        range(2, MOST),
        "fault",
        "runsc makes one for its sandbox and one for its gofer",
        "sysctl -w {}=256",
        unprivileged=True,
    ),
    # Debian's.
    "kernel.unprivileged_userns_clone": Setting(
        range(1, MOST),
        "fault",
        "the tests start runsc without root",
        "sysctl -w {}=1",
        unprivileged=True,
    ),
    # Ubuntu's: a user namespace is made there, and gets no capabilities.
    "kernel.apparmor_restrict_unprivileged_userns": Setting(
        range(1),
        "warning",
        "the tests start runsc without root",
        "sysctl -w {}=0",
        unprivileged=True,
    ),
    # With 2 it takes CAP_SYS_PTRACE, which runsc has in its own user namespace; 3 stays until the
    # next boot.
    "kernel.yama.ptrace_scope": Setting(
        range(3),
        "fault",
        "runsc traces its processes",
        "echo {}=1 >/etc/sysctl.d/90-runsc.conf; reboot",
    ),
    "vm.max_map_count": Setting(
        range(65530, MOST),
        "warning",
        "a sandbox dies when its mappings run out",
        "sysctl -w {}=4194304",
    ),
}


def values(folder: Path = Path("/proc/sys")) -> dict[str, int]:
    """The settings that this kernel has."""
    found = {}
    for name in SETTINGS:
        try:
            found[name] = int((folder / name.replace(".", "/")).read_text())
        except (OSError, ValueError):
            continue
    return found


def forbids_unprivileged(found: Mapping[str, int]) -> str:
    """Why no user but root can make a sandbox under these settings, and the remedy.

    Empty where one can.
    """
    for name, value in found.items():
        setting = SETTINGS[name]
        if setting.unprivileged and value not in setting.good:
            return (
                f"{name} is {value}, so only root makes a sandbox on this machine;"
                f" {setting.fix.format(name)}"
            )
    return ""
