"""The permissions of a pod: runsc needs them to create its namespaces."""

from dataclasses import dataclass

from worker_images.node.pod.finding import Finding

SYSTEM = (
    "kernel/yama/ptrace_scope",
    "vm/max_map_count",
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
)
SCRIPT = f"""grep -E '^(Seccomp|CapEff):' /proc/self/status
for each in {" ".join(SYSTEM)}; do
  if [ -r "/proc/sys/$each" ]; then echo "${{each##*/}} $(cat "/proc/sys/$each")"; fi
done
echo "apparmor $(cat /proc/self/attr/current 2> /dev/null)"
if [ -w /sys/fs/cgroup/cgroup.procs ]; then echo "cgroup writable"; fi
set -- $(df -k /dev/shm 2> /dev/null | tail -n 1); echo "shm $2\""""
# Bits of CapEff, from linux/capability.h.
ADMIN, PTRACE = 1 << 21, 1 << 19
# The value that runsc --host-settings recommends.
MAPS = 1_000_000
FEW_MAPS = f", below the recommended {MAPS}: large programs may run out of mappings"
ENOUGH_KIB = 1 << 20
LITTLE_MEMORY = ", less than the 1 GiB that NCCL needs for several GPUs"
UNCONFINED = ("", "unconfined")


@dataclass(frozen=True)
class Permissions:
    """The values that the script printed, by name."""

    values: dict[str, str]

    @property
    def capabilities(self) -> int:
        """The effective capabilities."""
        return int(self.values.get("CapEff", "0"), 16)

    @property
    def is_admin(self) -> bool:
        """Whether CAP_SYS_ADMIN is one of them."""
        return bool(self.capabilities & ADMIN)

    @property
    def has_namespaces(self) -> bool:
        """Whether the kernel permits user namespaces."""
        if self.values.get("unprivileged_userns_clone") == "0":
            return False
        return self.values.get("max_user_namespaces", "0") != "0"

    @property
    def filters(self) -> str:
        """The filters of system calls and the profiles that confine the pod."""
        found = ["seccomp profile"] if self.values.get("Seccomp") == "2" else []
        profile = self.values.get("apparmor", "")
        if profile.removesuffix(" (unconfined)") not in UNCONFINED:
            found.append(f"AppArmor profile {profile}")
        return " and ".join(found)

    def __str__(self) -> str:
        maps = int(self.values.get("max_map_count", MAPS))
        shm = int(self.values.get("shm", 0))
        return "; ".join(
            (
                f"{'with' if self.is_admin else 'without'} CAP_SYS_ADMIN",
                f"{self.filters or 'no seccomp or AppArmor profile'}",
                f"user namespaces {'allowed' if self.has_namespaces else 'disabled'}",
                f"ptrace_scope {self.values.get('ptrace_scope', '0')}",
                f"max_map_count {maps}{'' if maps >= MAPS else FEW_MAPS}",
                f"cgroup {self.values.get('cgroup', 'read-only: runsc needs --ignore-cgroups')}",
                f"shared memory {shm >> 10} MiB{'' if shm >= ENOUGH_KIB else LITTLE_MEMORY}",
            )
        )


def read(text: str) -> Permissions:
    """Parse the script's output."""
    rows = (line.replace(":", " ", 1).split(None, 1) for line in text.splitlines())
    return Permissions({row[0]: row[1].strip() for row in rows if len(row) == 2})


def check(found: Permissions) -> Finding:
    """Fail if the permissions rule out a sandbox; show those that may block one."""
    if not {"Seccomp", "CapEff"} <= set(found.values):
        return Finding(
            "no permissions", "/proc/self/status does not show the permissions; mount /proc"
        )
    seen = str(found)
    scope = int(found.values.get("ptrace_scope", "0"))
    if not found.has_namespaces and not found.is_admin:
        return Finding(
            seen,
            "neither CAP_SYS_ADMIN nor user namespaces: runsc cannot create namespaces; set"
            " user.max_user_namespaces above 0 on the node, or give the worker CAP_SYS_ADMIN",
        )
    if scope > 2 or (scope > 1 and not found.capabilities & PTRACE):
        return Finding(
            seen,
            "ptrace is disabled, but systrap needs it; set kernel.yama.ptrace_scope to 1 or 0 on"
            " the node",
        )
    return Finding(seen)
