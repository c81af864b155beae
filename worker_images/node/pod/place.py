"""A worker's pod on this machine as a place where runsc runs: it has the machine's root as a mount.

tests/layers/node-root has the mounts.
"""

from pathlib import Path

from worker_images.node import place
from worker_images.node.place import CLEAN_ROOT, HOST, OVERLAY, PlaceError, RunningContainer
from worker_images.node.pod import kubectl, permissions
from worker_images.node.pod.kubectl import Pod

# Mounts a root without its mounts as the root of users' containers. runsc of another user than root
# cannot create the mount points.
USERS_ROOT = f"""{OVERLAY}source=$1 target=$2
shift 2
if ! grep -q " $target/root " /proc/mounts; then
  mkdir -p "$target"
  mount -t tmpfs tmpfs "$target"
  mount_overlay "$source" "$target" "$target/root"
fi
mkdir -p "$target/root/usr/local/nvidia"
for each in "$@"; do : >>"$target/root$each"; done
"""
LOOK = """id -u
for each in "$@"; do [ -e "$each" ] || echo "$each"; done"""
STEP = "add the component tests/layers/node-root to the pod's manifest, on this machine's own node"


def of(pod: Pod, folder: Path) -> RunningContainer:
    """The pod, in which a folder of this machine must be visible; raises PlaceError."""
    named, _ = kubectl.find(pod)
    prefix = (*named.command, "exec", named.name, f"--container={named.container}", "--")
    bare = RunningContainer(prefix, f"pod {named.name}")
    found = place.run(bare, ["sh", "-c", LOOK, "sh", CLEAN_ROOT, f"{HOST}{folder.resolve()}"])
    if found.status:
        raise PlaceError(f"pod {named.name}: {found.errors.strip()}")
    user, *missing = found.output.split()
    if missing:
        raise PlaceError(f"pod {named.name} has no {', '.join(missing)}; {STEP}")
    rights = permissions.read(place.run(bare, ["sh", "-c", permissions.SCRIPT]).output)
    flags = () if rights.is_admin else ("--rootless",)
    return RunningContainer(prefix, bare.name, flags=flags, user=int(user))


def devices(pod: RunningContainer) -> set[str]:
    """The names of the driver's devices in the pod."""
    return set(place.run(pod, ["sh", "-c", "cd /dev && ls -d nvidia*"]).output.split())
