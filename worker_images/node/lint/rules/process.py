"""The part of rule F14 of docs/launcher.md on the process.

gVisor release-20260622.0: ValidateSpec and ResolveEnvs in runsc/specutils/specutils.go, and
runsc/boot/limits.go.
"""

from collections.abc import Mapping
from typing import Any

from worker_images.node.lint.finding import Problems, error
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.specification_types import CAPABILITY_SETS

# capFromName: those of Linux 5.9.
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = frozenset(f"CAP_{name}" for name in NAMES.split())
LIMITS = """
AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK
"""
MOST_OOM_SCORE = 1000
RLIMITS = frozenset(f"RLIMIT_{name}" for name in LIMITS.split())


def process(request: LaunchRequest) -> Problems:
    """Yield what runsc refuses in the process."""
    found = request.specification.get("process") or {}
    if not found.get("args"):
        yield error("process.args", "no command, which runsc refuses", "add one")
    cwd = found.get("cwd") or ""
    if not cwd.startswith("/"):
        problem = f"{cwd!r} is not an absolute path" if cwd else "no working folder"
        yield error("process.cwd", f"{problem}, which runsc refuses", "write one, such as /")
    if found.get("selinuxLabel"):
        yield error(
            "process.selinuxLabel",
            "runsc does not support SELinux and refuses a label",
            "remove it",
        )
    if not -MOST_OOM_SCORE <= found.get("oomScoreAdj", 0) <= MOST_OOM_SCORE:
        yield error(
            "process.oomScoreAdj",
            f"{found['oomScoreAdj']}, which Linux refuses",
            f"write a number from -{MOST_OOM_SCORE} to {MOST_OOM_SCORE}",
        )
    wrong = [pair for pair in found.get("env") or () if "=" not in pair]
    if wrong:
        yield error(
            "process.env",
            f"{wrong[0] or 'an empty variable'} has no =, with which runsc ends with EOF",
            "write NAME=VALUE, or remove it",
        )
    yield from _names(found)


def _names(process: Mapping[str, Any]) -> Problems:
    """Yield names of capabilities and limits that runsc does not know."""
    for name, found in (process.get("capabilities") or {}).items():
        if name in CAPABILITY_SETS and (unknown := sorted({*(found or ())} - CAPABILITIES)):
            yield error(
                f"process.capabilities.{name}",
                f"runsc does not know {', '.join(unknown)}, and ends with EOF",
                "remove it; names are those of capabilities(7), such as CAP_MKNOD",
            )
    for index, limit in enumerate(process.get("rlimits") or ()):
        if (name := limit.get("type", "")) not in RLIMITS:
            yield error(
                f"process.rlimits[{index}]",
                f"runsc does not know {name or 'a limit without a type'}, and ends with EOF",
                "remove it; names are those of getrlimit(2), such as RLIMIT_MEMLOCK",
            )
