"""What a pod may do, in words: the rights that runsc makes its namespaces with."""

from worker_images.node.place import Answer
from worker_images.node.verify.rows import FAILED, PASSED, Finding, Scene, lines_after

SYSTEM = (
    "kernel/yama/ptrace_scope",
    "vm/max_map_count",
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
)
SURROUNDINGS = f"""grep -E '^(Seccomp|CapEff):' /proc/self/status
for each in {" ".join(SYSTEM)}; do
  if [ -r "/proc/sys/$each" ]; then echo "$each $(cat "/proc/sys/$each")"; fi
done"""
NAMES = {"Seccomp": "seccomp", "CapEff": "capabilities"} | {
    name: name.rpartition("/")[2] for name in SYSTEM
}
# Bits of CapEff, from linux/capability.h.
ADMIN, PTRACE = 1 << 21, 1 << 19
SECCOMP = {
    "0": "no seccomp filter",
    "2": "a seccomp filter, which may forbid what runsc does: whether a sandbox boots will tell",
}
# What runsc's --host-settings asks for.
MAPS = 1_000_000


FEW_MAPS = f", below the {MAPS} that runsc advises: large programs may run out of mappings"


def surroundings(_: Scene, said: Answer) -> Finding:
    """Nothing that forbids a sandbox for certain; what may is told."""
    seen = lines_after(said.output, NAMES)
    if not {"seccomp", "capabilities"} <= set(seen):
        return Finding(
            FAILED,
            said.output.strip(),
            "/proc/self/status does not tell the rights",
            "mount /proc in the pod",
        )
    rights = int(seen["capabilities"], 16)
    scope, spaces, maps = (int(seen.get(name, default)) for name, default in DEFAULTS.items())
    nested = bool(spaces) and seen.get("unprivileged_userns_clone", "1") != "0"
    words = [
        SECCOMP.get(seen["seccomp"], f"seccomp mode {seen['seccomp']}"),
        f"{'with' if rights & ADMIN else 'without'} CAP_SYS_ADMIN",
        f"user namespaces {'allowed' if nested else 'forbidden'}",
        f"ptrace_scope {scope}",
        f"max_map_count {maps}{'' if maps >= MAPS else FEW_MAPS}",
    ]
    if not nested and not rights & ADMIN:
        words_of = "neither CAP_SYS_ADMIN nor user namespaces: runsc can make no namespaces"
        step = "give the worker CAP_SYS_ADMIN, or set user.max_user_namespaces above 0 on the node"
        return Finding(FAILED, "; ".join(words), words_of, step)
    if scope > 2 or (scope > 1 and not rights & PTRACE):
        words_of = "ptrace is forbidden, and systrap works by it"
        return Finding(
            FAILED, "; ".join(words), words_of, "set kernel.yama.ptrace_scope to 1 or 0 on the node"
        )
    return Finding(PASSED, "; ".join(words))


DEFAULTS = {"ptrace_scope": "0", "max_user_namespaces": "0", "max_map_count": str(MAPS)}
