"""The part of rule F14 of docs/launcher.md on mounts below the sandbox's own /proc and /sys.

runsc makes folders there as mount points, and no file. gVisor release-20260622.0:
pkg/sentry/fsimpl/{proc,sys}, and makeMountPoint in runsc/boot/vfs.go.
"""

from worker_images.node.lint import view
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.finding import Problems, error, warning
from worker_images.node.lint.request import LaunchRequest

# newTasksInode and newSysDir; /proc/sys/net differs with the network.
NAMES = """
cgroups cmdline cpuinfo devices filesystems loadavg meminfo sentry-meminfo stat sysrq-trigger uptime
version sys/fs/nr_open sys/fs/pipe-max-size sys/vm/max_map_count sys/vm/mmap_min_addr
sys/vm/overcommit_memory sys/kernel/cap_last_cap sys/kernel/domainname sys/kernel/hostname
sys/kernel/keys/maxkeys sys/kernel/msgmax sys/kernel/msgmnb sys/kernel/msgmni sys/kernel/osrelease
sys/kernel/ostype sys/kernel/overflowgid sys/kernel/overflowuid sys/kernel/pid_max
sys/kernel/random/boot_id sys/kernel/random/uuid sys/kernel/randomize_va_space sys/kernel/sem
sys/kernel/shmall sys/kernel/shmmax sys/kernel/shmmni sys/kernel/version
sys/kernel/yama/ptrace_scope
"""
PROC = frozenset(f"/proc/{name}" for name in NAMES.split())
# Those of processors depend on their number; the product's name is there if the node has one.
UNKNOWN = ("/proc/sys/net/", "/sys/devices/system/cpu/", "/sys/bus/pci/devices/")
PRODUCT = "dmi/id/product_name"
# nvproxy's own file, by newProcfsInfo.
PARAMETERS = "/proc/driver/nvidia/params"
SYSTEMS = ("/proc", "/sys")
OVERRIDE = "override-procs"


def mounts(request: LaunchRequest, files: ContainerFiles) -> Problems:
    """Yield files that are mounted where the sandbox's own /proc or /sys has none."""
    own = {f"/proc/{name}" for name in view.options(request).get(OVERRIDE, "").split(",")}
    for path, (index, source) in files.mounts.items():
        if not source or not source.exists() or source.is_dir() or not _is_own(files, path):
            continue
        if path == PARAMETERS:
            yield from _parameters(request, f"mounts[{index}]")
        elif path not in PROC | own and not path.startswith(UNKNOWN) and PRODUCT not in path:
            system = "/".join(path.split("/")[:2])
            yield error(
                f"mounts[{index}]",
                f"the sandbox's {system} has no {path}, and runsc cannot create a file in it",
                "remove the mount",
            )


def _is_own(files: ContainerFiles, path: str) -> bool:
    """Report if a path is in the sandbox's own /proc or /sys, not in a mount below it."""
    above = files.above(path)
    if above and (above not in SYSTEMS or files.mounts[above][1]):
        return False
    return path.startswith(tuple(f"{each}/" for each in SYSTEMS))


def _parameters(request: LaunchRequest, where: str) -> Problems:
    """Yield the file of nvproxy in a sandbox without nvproxy; a pod's sandbox may have it."""
    if view.allows_nvproxy(request) or view.uses_nvproxy(request):
        return
    yield (warning if view.joins_a_pod(request) else error)(
        where,
        f"without nvproxy the sandbox's /proc has no {PARAMETERS}, and runsc cannot create a file"
        " in it",
        "remove the mount: nvproxy makes the file itself; or add the container's devices, or"
        " --nvproxy",
    )
