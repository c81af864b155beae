"""Checks the permissions of a pod: runsc needs them to create its namespaces."""

from worker_images.model.results import FAILED, PASSED, Result
from worker_images.node.place import CommandResult
from worker_images.node.verify.target import Target

SYSTEM = (
    "kernel/yama/ptrace_scope",
    "vm/max_map_count",
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
)
RIGHTS = f"""grep -E '^(Seccomp|CapEff):' /proc/self/status
for each in {" ".join(SYSTEM)}; do
  if [ -r "/proc/sys/$each" ]; then echo "${{each##*/}} $(cat "/proc/sys/$each")"; fi
done"""
# Bits of CapEff, from linux/capability.h.
ADMIN, PTRACE = 1 << 21, 1 << 19
SECCOMP = {
    "0": "no seccomp filter",
    "2": "a seccomp filter, which may block runsc: see the boot check",
}
# The value that runsc --host-settings recommends.
MAPS = 1_000_000
FEW_MAPS = f", below the recommended {MAPS}: large programs may run out of mappings"


def rights(_: Target, found: CommandResult) -> Result:
    """Fail if the permissions rule out a sandbox; show those that may block one."""
    rows = (line.replace(":", " ", 1).split(None, 1) for line in found.output.splitlines())
    values = {row[0]: row[1].strip() for row in rows if len(row) == 2}
    if not {"Seccomp", "CapEff"} <= set(values):
        reason = "/proc/self/status does not show the permissions"
        return Result(FAILED, found.output.strip(), reason, "mount /proc in the pod")
    capabilities = int(values["CapEff"], 16)
    scope = int(values.get("ptrace_scope", "0"))
    namespaces = _namespaces(values)
    seen = _seen(values, namespaces=namespaces)
    if not namespaces and not capabilities & ADMIN:
        reason = "neither CAP_SYS_ADMIN nor user namespaces: runsc cannot create namespaces"
        step = "give the worker CAP_SYS_ADMIN, or set user.max_user_namespaces above 0 on the node"
        return Result(FAILED, seen, reason, step)
    if scope > 2 or (scope > 1 and not capabilities & PTRACE):
        reason = "ptrace is disabled, but systrap needs it"
        return Result(FAILED, seen, reason, "set kernel.yama.ptrace_scope to 1 or 0 on the node")
    return Result(PASSED, seen)


def _namespaces(values: dict[str, str]) -> bool:
    if values.get("unprivileged_userns_clone") == "0":
        return False
    return values.get("max_user_namespaces", "0") != "0"


def _seen(values: dict[str, str], *, namespaces: bool) -> str:
    admin = int(values["CapEff"], 16) & ADMIN
    maps = int(values.get("max_map_count", MAPS))
    parts = [
        SECCOMP.get(values["Seccomp"], f"seccomp mode {values['Seccomp']}"),
        f"{'with' if admin else 'without'} CAP_SYS_ADMIN",
        f"user namespaces {'allowed' if namespaces else 'disabled'}",
        f"ptrace_scope {values.get('ptrace_scope', '0')}",
        f"max_map_count {maps}{'' if maps >= MAPS else FEW_MAPS}",
    ]
    return "; ".join(parts)
