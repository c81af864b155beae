"""Do sandboxes start inside the pod, with its devices?"""

import errno
import os

from tests.pod.sandboxes import Sandboxes
from tests.pod.worker import Worker
from worker_images.harness.options import Seen
from worker_images.model.drivers.table import Table
from worker_images.node.pod import boot, permissions
from worker_images.node.pod.permissions import Permissions
from worker_images.node.spec import PROGRAMS

DEVICES = "cat /proc/version; stat -c '%n %F %t:%T' /dev/nvidia*"


def test_permissions_allow_sandboxes(pod_permissions: Permissions, seen: Seen) -> None:
    """runsc needs user namespaces or CAP_SYS_ADMIN, and ptrace."""
    found = permissions.check(pod_permissions)
    seen(found.seen)
    assert not found.problem, found.problem


def test_sandbox_boots_in_the_pod(
    worker: Worker, pod_sandboxes: Sandboxes, drivers: Table, seen: Seen
) -> None:
    """A sandbox runs gVisor's kernel; the pod itself does not."""
    found = boot.started(pod_sandboxes.boot(), "", pod_sandboxes.permissions, drivers)
    seen(found.seen)
    assert not found.problem, found.problem
    assert "gvisor" not in worker.run("cat /proc/version").output, "the pod itself runs in gVisor"


def test_sandbox_has_the_devices_of_the_pod(
    pod_sandboxes: Sandboxes, drivers: Table, seen: Seen
) -> None:
    """A user's container, started on the spec path, has the pod's devices and no others."""
    answer = pod_sandboxes.run(DEVICES)
    found = boot.started(answer, pod_sandboxes.log(), pod_sandboxes.permissions, drivers)
    seen(answer.output or found.seen)
    assert not found.problem, found.problem
    nodes = dict(line.split(" ", 1) for line in answer.output.splitlines()[1:])
    expected = {device.path for device in pod_sandboxes.node.devices}
    assert set(nodes) == expected, f"the sandbox has {sorted(nodes)}, the pod {sorted(expected)}"
    assert nodes["/dev/nvidiactl"] == "character special file c3:ff"


def test_open_in_a_sandbox_reaches_the_driver(
    pod_sandboxes: Sandboxes, seen: Seen, *, stand_in: bool
) -> None:
    """A stand-in has no driver: the error of the node's kernel shows that the call reached it."""
    answer = pod_sandboxes.run("exec 3<>/dev/nvidiactl")
    seen(answer.errors or "opened")
    if stand_in:
        assert os.strerror(errno.ENXIO) in answer.errors, f"not the kernel's error: {answer.errors}"
    else:
        assert answer.status == 0, f"nvidiactl does not open in the sandbox: {answer.errors}"


def test_gpus_in_a_sandbox_match_the_pod(
    worker: Worker, nvidia_smi: str, pod_sandboxes: Sandboxes, seen: Seen
) -> None:
    """nvidia-smi lists the same GPUs in the pod and in a sandbox."""
    natively = worker.run(f"{nvidia_smi} -L")
    sandboxed = pod_sandboxes.run(f"{PROGRAMS}/nvidia-smi -L")
    seen(sandboxed.output or sandboxed.errors)
    assert natively.status == 0, f"nvidia-smi fails in the pod, without gVisor: {natively.errors}"
    assert sandboxed.output == natively.output, f"the sandbox lists: {sandboxed.errors}"
