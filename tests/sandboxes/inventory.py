"""What sandboxes may leave in a worker: processes, mounts, control groups, networks, state."""

import time
from collections import Counter

from tests.sandboxes.launcher import Launcher

# One line for each thing, with its kind. The programs of this script are left out.
SCRIPT = """ps -e -o comm= | grep -v -x -E 'sh|ps|grep|sed' | sed 's/^/process /'
cut -d ' ' -f 5 /proc/self/mountinfo | sed 's/^/mount /'
for each in /sys/fs/cgroup/*/ /sys/fs/cgroup/*/*/; do echo "group $each"; done
ip -brief link | sed 's/^/interface /' | cut -d ' ' -f 1,2
ls /run/netns 2> /dev/null | sed 's/^/namespace /'
iptables-save 2> /dev/null | grep '^-A' | sed 's/^/rule /'
ls -A "$1" 2> /dev/null | sed 's/^/state /'
ls -A /run/gvisor | sed 's/^/state /'
"""
SECONDS = 20.0


def take(launcher: Launcher) -> Counter[str]:
    """Return what the worker has, by kind and name."""
    return Counter(launcher.worker(SCRIPT, launcher.state).splitlines())


def kinds(more: Counter[str], before: Counter[str]) -> set[str]:
    """Return the kinds of what came in addition."""
    return {line.split()[0] for line in more - before}


def settled(launcher: Launcher, before: Counter[str]) -> Counter[str]:
    """Return what came in addition, once the kernel has ended killed processes."""
    end = time.monotonic() + SECONDS
    while (found := take(launcher) - before) and time.monotonic() < end:
        time.sleep(0.2)
    return found
