"""Does the image's runsc start a user's container with the driver's devices and files?"""

import dataclasses
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.workload.sandboxes import Edit, Sandboxes, Seen, Wiring, failure_text, run_unprivileged
from worker_images.model.drivers.table import Table
from worker_images.node import selection
from worker_images.node.cards import Card
from worker_images.node.explain import diagnose
from worker_images.node.node import FRONTEND_MAJOR
from worker_images.node.place import Place
from worker_images.node.runsc import SandboxResult
from worker_images.node.spec import LIBRARIES


def test_sandbox_kernel_is_gvisor(image_sandboxes: Sandboxes, seen: Seen) -> None:
    """The sandbox runs gVisor's kernel, not the machine's."""
    found = image_sandboxes("/bin/cat", "/proc/version")
    assert found.status == 0, failure_text(found)
    assert "gvisor" in found.output
    seen(found.output)
    assert "gvisor" not in Path("/proc/version").read_text()


def test_devices_match_those_of_nvproxy(image_sandboxes: Sandboxes, seen: Seen) -> None:
    """No other device of the driver exists, and devices with fixed numbers have them."""
    found = image_sandboxes("/bin/sh", "-c", "stat -c '%n %F %t:%T' /dev/nvidia*")
    lines = dict(line.split(" ", 1) for line in found.output.splitlines())
    seen(found.output)
    assert set(lines) == {device.path for device in image_sandboxes.node.devices}
    assert lines["/dev/nvidiactl"] == "character special file c3:ff"
    for gpu in image_sandboxes.node.gpus:
        assert lines[gpu.path] == f"character special file c3:{gpu.minor:x}"
    assert lines["/dev/nvidia-uvm"].endswith(":0")


def test_index_is_that_of_the_pci_bus(
    image_sandboxes: Sandboxes, wiring: Wiring, seen: Seen
) -> None:
    """A container with one GPU by its index has only that device; stand-ins get an order."""
    node = image_sandboxes.node
    if not wiring.real:
        minors = [device.minor for device in node.gpus]
        cards = (Card(f"0000:{9 - minor:02x}:00.0", minor) for minor in minors[::-1])
        node = dataclasses.replace(node, cards=tuple(cards))
    for each in selection.gpus(node):
        command = ("/bin/sh", "-c", "ls /dev/nvidia[0-9]*")
        found = image_sandboxes(*command, node=node, gpus=str(each.index))
        seen(f"{each.index}: {found.output}")
        assert found.output.split() == [each.device.path]


def test_no_devices_without_a_gpu_request(image_sandboxes: Sandboxes) -> None:
    """A container without GPUs has no device of the driver."""
    found = image_sandboxes("/bin/sh", "-c", "ls /dev", gpus="none")
    assert found.status == 0, found.errors
    assert "null" in found.output
    assert "nvidia" not in found.output


def test_open_reaches_the_driver(image_sandboxes: Sandboxes, wiring: Wiring, seen: Seen) -> None:
    """The machine's kernel returns ENXIO for a stand-in, so the call reached it."""
    found = image_sandboxes("/bin/sh", "-c", "exec 3<>/dev/nvidiactl")
    expected = "" if wiring.real else os.strerror(errno.ENXIO)
    assert (found.status == 0) is wiring.real
    seen(found.errors or "opened")
    assert expected in found.errors


def test_made_device_node_opens_only_gpus_of_the_specification(
    image_sandboxes: Sandboxes, wiring: Wiring, seen: Seen
) -> None:
    """Users may make a node with any numbers; runsc opens only what linux.devices names."""
    first, *others = image_sandboxes.node.gpus
    other = others[0].minor if others else first.minor + 1
    number = f"minor:{first.minor}"
    assert opened(make_node(image_sandboxes, first.minor, number), wiring)
    refused = make_node(image_sandboxes, other, number)
    seen(refused.errors)
    assert refused.errors.startswith("/bin/sh")
    assert not opened(refused, wiring)
    if others:
        assert opened(make_node(image_sandboxes, other, "all"), wiring)


@pytest.mark.not_in_a_pod
def test_device_node_of_the_image_opens_no_gpu(
    image_sandboxes: Sandboxes, image_root: Path, wiring: Wiring, seen: Seen
) -> None:
    """Neither with an overlay nor in a read-only root; the control has neither of both."""
    first, *others = image_sandboxes.node.gpus
    other = others[0].minor if others else first.minor + 1
    number = f"minor:{first.minor}"
    node = image_root / "dev" / f"nvidia{other}"
    # A mount point of another container with this GPU.
    node.unlink(missing_ok=True)
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(FRONTEND_MAJOR, other))
    try:
        refused = make_node(image_sandboxes, other, number)
        closed = make_node(image_sandboxes, other, number, edit=make_read_only)
        control = make_node(image_sandboxes, other, number, "--overlay2=none")
    finally:
        node.unlink()
    seen(f"{refused.errors}; without an overlay: {control.errors or 'opened'}")
    assert os.strerror(errno.EACCES) in refused.errors
    assert os.strerror(errno.EACCES) in closed.errors
    assert os.strerror(errno.EACCES) not in control.errors
    assert opened(control, wiring) or not others


def test_read_only_root_is_not_writable(image_sandboxes: Sandboxes) -> None:
    """bundle --read-only: programs write to /tmp and /dev/shm only, and find the driver."""
    script = (
        f"for each in /tmp /dev/shm / /usr; do touch $each/new && echo $each; done; ls {LIBRARIES}"
    )
    found = image_sandboxes("/bin/sh", "-c", script, edit=make_read_only)
    control = image_sandboxes("/bin/sh", "-c", script)
    written = [line for line in found.output.splitlines() if line.startswith("/")]
    assert written == ["/tmp", "/dev/shm"], failure_text(found)  # noqa: S108 - in the sandbox
    assert found.errors.count(os.strerror(errno.EROFS)) == 2
    assert "libcuda.so.1" in found.output.split()
    assert {"/", "/usr"} <= {*control.output.splitlines()}


def make_read_only(specification: dict[str, Any]) -> None:
    """Change a specification as bundle --read-only does."""
    specification["root"]["readonly"] = True


def make_node(
    sandboxes: Sandboxes, minor: int, gpus: str, *flags: str, edit: Edit | None = None
) -> SandboxResult:
    """Make a GPU's device node in a sandbox, and open it."""
    script = f"mknod /tmp/node c {FRONTEND_MAJOR} {minor} && exec 3<>/tmp/node"
    return sandboxes("/bin/sh", "-c", script, gpus=gpus, flags=flags, edit=edit)


def opened(found: SandboxResult, wiring: Wiring) -> bool:
    """Report if an open reached the machine's kernel, which returns ENXIO for a stand-in."""
    return found.status == 0 if wiring.real else os.strerror(errno.ENXIO) in found.errors


def test_rootless_sandbox_has_devices_as_unprivileged_user(
    image_sandboxes: Sandboxes, worker: Place
) -> None:
    """runsc --rootless starts a sandbox with the devices as user 1000."""
    sandboxes = dataclasses.replace(image_sandboxes, rootfs=worker.clean_root)
    found = run_unprivileged(sandboxes, "/bin/sh", "-c", "cat /proc/version; ls /dev")
    assert found.status == 0, failure_text(found)
    assert "gvisor" in found.output.splitlines()[0]
    assert {device.name for device in image_sandboxes.node.devices} <= {*found.output.split()}


def test_driver_files_match_the_node(image_sandboxes: Sandboxes, seen: Seen) -> None:
    """libcuda.so.1 links to the driver's version, with the same bytes as on the node."""
    found = image_sandboxes(
        "/bin/sh",
        "-c",
        f"cd {LIBRARIES} && readlink -f libcuda.so.1 && sha256sum < libcuda.so.1 && env",
    )
    library = next(
        path for path in image_sandboxes.node.libraries if path.name.startswith("libcuda.so")
    )
    path, digest, *environment = found.output.splitlines()
    seen(path)
    assert path == f"{LIBRARIES}/libcuda.so.{image_sandboxes.node.driver}"
    assert digest.split()[0] == hashlib.sha256(library.read_bytes()).hexdigest()
    assert f"LD_LIBRARY_PATH={LIBRARIES}" in environment
    names = [gpu.name for gpu in selection.gpus(image_sandboxes.node)]
    assert f"NVIDIA_VISIBLE_DEVICES={','.join(names)}" in environment


def test_unserved_driver_is_explained(
    image_sandboxes: Sandboxes, drivers: Table, seen: Seen
) -> None:
    """Users see EOF; explain finds the cause in the log and the next step in the table."""
    found = image_sandboxes("/bin/true", flags=["--nvproxy-driver-version=550.54.14"])
    assert found.status != 0
    assert found.errors.strip().endswith("EOF")
    (cause,) = diagnose.explain(found.all_output, drivers)
    seen(f"{found.errors} | {cause.line} | {cause.step}")
    assert cause.message == "this runsc does not serve the node's driver 550.54.14"
    assert cause.step.startswith("gVisor releases 20240325.0 to 20250811.0 serve 550.54.14")


@pytest.mark.variant("slim")
def test_slim_refuses_an_nvidia_hook(
    image_sandboxes: Sandboxes, drivers: Table, seen: Seen
) -> None:
    """runsc runs nvidia-container-cli for a hook, and slim does not contain it."""

    def add_hook(specification: dict[str, object]) -> None:
        specification["hooks"] = {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}

    found = image_sandboxes("/bin/true", edit=add_hook)
    assert found.status != 0
    (cause,) = diagnose.explain(found.all_output, drivers)
    seen(cause.line)
    assert cause.name == "no container-cli"
