"""The permissions of a pod: runsc needs them to create its namespaces."""

import re
from dataclasses import dataclass

from worker_images.model import kernel_settings
from worker_images.model.capabilities import SANDBOX, mask
from worker_images.node.pod.finding import Finding

SETTINGS = {name.replace(".", "/"): name for name in kernel_settings.SETTINGS}
RESTRICTED = "kernel.apparmor_restrict_unprivileged_userns"
PTRACE = "kernel.yama.ptrace_scope"
# With SELinux, attr/current has its context. Kernels before 5.8 have AppArmor's profile only there.
SCRIPT = f"""grep -E '^(Seccomp|CapEff):' /proc/self/status
for each in {" ".join(SETTINGS)}; do
  if [ -r "/proc/sys/$each" ]; then echo "$each $(cat "/proc/sys/$each")"; fi
done
profile=/proc/self/attr/apparmor/current
if [ ! -e "$profile" ] && grep -q Y /sys/module/apparmor/parameters/enabled 2> /dev/null; then
  profile=/proc/self/attr/current
fi
echo "apparmor $(cat "$profile" 2> /dev/null)"
if [ -w /sys/fs/cgroup/cgroup.procs ]; then echo "cgroup writable"; fi
set -- $(df -k /dev/shm 2> /dev/null | tail -n 1); echo "shm $2\""""
# The value that runsc --host-settings recommends.
MAPS = 1_000_000
FEW_MAPS = f", below the recommended {MAPS}: large programs may run out of mappings"
ENOUGH_KIB = 1 << 20
LITTLE_MEMORY = ", less than the 1 GiB that NCCL needs for several GPUs"
UNCONFINED = "unconfined"
# The modes in which a profile forbids nothing.
LENIENT = re.compile(r" \((?:unconfined|complain)\)$")


@dataclass(frozen=True)
class Permissions:
    """The values that the script printed, by name."""

    values: dict[str, str]

    @property
    def settings(self) -> dict[str, int]:
        """The kernel settings that runsc depends on."""
        return {
            name: int(self.values[path]) for path, name in SETTINGS.items() if path in self.values
        }

    @property
    def is_admin(self) -> bool:
        """Whether runsc has the capabilities that it needs without --rootless."""
        needed = mask(*SANDBOX)
        return int(self.values.get("CapEff", "0"), 16) & needed == needed

    @property
    def profile(self) -> str:
        """The AppArmor profile with its mode; empty without AppArmor."""
        return self.values.get("apparmor", "")

    @property
    def no_namespaces(self) -> str:
        """The setting that forbids user namespaces to the pod, and the fix; empty if none does."""
        # A profile may permit what the kernel forbids to programs without one.
        lifted = {RESTRICTED} if self.profile not in {"", UNCONFINED} else set()
        found = {name: value for name, value in self.settings.items() if name not in lifted}
        return kernel_settings.forbids_unprivileged(found, "the node")

    @property
    def filters(self) -> str:
        """The filters of system calls and the profiles that confine the pod."""
        found = ["seccomp profile"] if self.values.get("Seccomp") == "2" else []
        if self.profile not in {"", UNCONFINED} and not LENIENT.search(self.profile):
            found.append(f"AppArmor profile {self.profile}")
        return " and ".join(found)

    def __str__(self) -> str:
        maps = self.settings.get("vm.max_map_count", MAPS)
        shm = int(self.values.get("shm", 0))
        return "; ".join(
            (
                f"runsc runs {'as root' if self.is_admin else 'with --rootless'}",
                f"{self.filters or 'no seccomp or AppArmor profile'}",
                f"user namespaces {'disabled' if self.no_namespaces else 'allowed'}",
                f"ptrace_scope {self.settings.get(PTRACE, 0)}",
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
    seen, forbidden = str(found), found.no_namespaces
    if forbidden and not found.is_admin:
        return Finding(
            seen,
            f"the pod may not create user namespaces, and lacks {', '.join(SANDBOX)}: {forbidden}"
            " on the node, or use deploy/components/sys-admin",
        )
    scope = found.settings.get(PTRACE, 0)
    if scope not in kernel_settings.SETTINGS[PTRACE].good:
        return Finding(
            seen,
            f"systrap needs ptrace, and {PTRACE} is {scope}; on the node:"
            f" {kernel_settings.SETTINGS[PTRACE].fix.format(PTRACE)}",
        )
    return Finding(seen)
