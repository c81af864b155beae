"""Does the image's runsc boot a user's container with the driver's devices and files in their
places?
"""

import dataclasses
import errno
import hashlib
import os
from pathlib import Path

import pytest

from tests.workload.user import Sandboxes, Seen, Wiring, complaint, unprivileged
from worker_images.model.drivers.table import Table
from worker_images.node import cause
from worker_images.node.place import Place
from worker_images.node.spec import LIBRARIES


def test_it_is_gvisor(wired: Sandboxes, seen: Seen) -> None:
    """gVisor's own kernel answers, not the machine's."""
    found = wired("/bin/cat", "/proc/version")
    assert found.status == 0, found.errors
    assert "gvisor" in found.output
    seen(found.output)
    assert "gvisor" not in Path("/proc/version").read_text()


def test_devices_are_the_ones_that_nvproxy_serves(wired: Sandboxes, seen: Seen) -> None:
    """No other node of the driver is there, and those that have fixed numbers have them."""
    found = wired("/bin/sh", "-c", "stat -c '%n %F %t:%T' /dev/nvidia*")
    lines = dict(line.split(" ", 1) for line in found.output.splitlines())
    seen(found.output)
    assert set(lines) == {device.path for device in wired.node.devices}
    assert lines["/dev/nvidiactl"] == "character special file c3:ff"
    assert lines["/dev/nvidia0"] == "character special file c3:0"
    assert lines["/dev/nvidia-uvm"].endswith(":0")


def test_no_device_unless_asked_for(wired: Sandboxes) -> None:
    """The control of the test above."""
    found = wired("/bin/sh", "-c", "ls /dev", gpus="none")
    assert found.status == 0, found.errors
    assert "null" in found.output
    assert "nvidia" not in found.output


def test_opening_reaches_the_driver(wired: Sandboxes, wiring: Wiring, seen: Seen) -> None:
    """A stand-in has nothing behind it, which only the machine's kernel can say."""
    found = wired("/bin/sh", "-c", "exec 3<>/dev/nvidiactl")
    expected = "" if wiring.real else os.strerror(errno.ENXIO)
    assert (found.status == 0) is wiring.real
    seen(found.errors or "opened")
    assert expected in found.errors


def test_a_user_without_rights(wired: Sandboxes, worker: Place) -> None:
    """Rootless, as user 1000: the devices are there too."""
    sandboxes = dataclasses.replace(wired, rootfs=worker.user)
    found = unprivileged(sandboxes, "/bin/sh", "-c", "cat /proc/version; ls /dev")
    assert found.status == 0, complaint(found)
    assert "gvisor" in found.output.splitlines()[0]
    assert {device.name for device in wired.node.devices} <= {*found.output.split()}


def test_driver_files_are_the_nodes(wired: Sandboxes, seen: Seen) -> None:
    """By the name that programs load, under the driver's version, with the node's bytes."""
    found = wired(
        "/bin/sh",
        "-c",
        f"cd {LIBRARIES} && readlink -f libcuda.so.1 && sha256sum < libcuda.so.1 && env",
    )
    library = next(path for path in wired.node.libraries if path.name.startswith("libcuda.so"))
    path, digest, *environment = found.output.splitlines()
    seen(path)
    assert path == f"{LIBRARIES}/libcuda.so.{wired.node.driver}"
    assert digest.split()[0] == hashlib.sha256(library.read_bytes()).hexdigest()
    assert f"LD_LIBRARY_PATH={LIBRARIES}" in environment
    assert "NVIDIA_VISIBLE_DEVICES=0" in environment


def test_a_driver_that_is_not_served_is_named(wired: Sandboxes, drivers: Table, seen: Seen) -> None:
    """Users see EOF; the log has the reason, and the table the way out."""
    found = wired("/bin/true", flags=["--nvproxy-driver-version=550.54.14"])
    assert found.status != 0
    assert found.errors.strip().endswith("EOF")
    (reason,) = cause.explain(found.everything, drivers)
    seen(f"{found.errors} | {reason.line} | {reason.step}")
    assert reason.words == "this runsc does not serve the node's driver 550.54.14"
    assert reason.step.startswith(
        "gVisor serves 550.54.14 from 20240325.0 on, last seen in 20250811.0"
    )


@pytest.mark.variant("slim")
def test_slim_refuses_an_nvidia_hook(wired: Sandboxes, drivers: Table, seen: Seen) -> None:
    """For a hook runsc calls a program that slim does not hold: its containers come by the
    specification alone.
    """

    def hooked(specification: dict[str, object]) -> None:
        specification["hooks"] = {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}

    found = wired("/bin/true", edit=hooked)
    assert found.status != 0
    (reason,) = cause.explain(found.everything, drivers)
    seen(reason.line)
    assert reason.name == "no container-cli"
