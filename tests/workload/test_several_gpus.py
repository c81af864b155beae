"""Do several GPUs work together in one sandbox, and are those of others out of reach?"""

import json
import re
from typing import Any

import pytest

from tests.workload.sandboxes import PROBES, Facts, Sandboxes, Seen, failure_text, unhandled
from worker_images.harness.options import not_run
from worker_images.node import cards, place
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.measure.metrics import ONE_GPU
from worker_images.node.node import CONTROL, MEMORY, Device, Node
from worker_images.node.place import CommandResult, RunningContainer

# Tries to open GPUs by their minor numbers; a pod may have the capability to make a node.
OPEN = """for each in "$@"; do
  for path in "/dev/nvidia$each" "/tmp/nvidia$each"; do
    [ "${path#/tmp}" = "$path" ] || mknod "$path" c 195 "$each" 2>&1
    if (exec 3<"$path") 2>&1; then echo "$path opened"; fi
    rm -f "/tmp/nvidia$each"
  done
done"""
TOPOLOGY = ("nvidia-smi", "topo", "-m")
PCI_DEVICES = "/sys/bus/pci/devices"
# A call of nvidia-smi that did not find a file of sysfs, in runsc's log with --strace.
NOT_FOUND = re.compile(r"nvidia-smi X (\w+)\(.*?0x[0-9a-f]+ /?(sys/[^,)]+?)/?[,)].* errno=2 ")


@pytest.fixture(scope="module")
def uuids(gpu: Node, native: Facts, pytestconfig: pytest.Config) -> dict[int, str]:
    """The UUIDs of this machine's GPUs, of which there are several, by their minor numbers."""
    if len(gpu.gpus) < 2:
        not_run(pytestconfig, "gpus", ONE_GPU)
    assert len(native["driver"]["gpus"]) == len(gpu.gpus)
    text = place.run_command(["env", *gpu.native_environment, "nvidia-smi", "-q", "-x"]).output
    minors = re.findall("<minor_number>([0-9]+)</minor_number>", text)
    uuids = re.findall("<uuid>(GPU-[^<]+)</uuid>", text)
    return {int(minor): uuid for minor, uuid in zip(minors, uuids, strict=True)}


def reach(sandboxes: Sandboxes, python: str, gpus: str, *minors: int) -> Any:  # noqa: ANN401
    """Return what the probe reports in a container with some GPUs, of GPUs by minor number."""
    found = sandboxes(python, f"{PROBES_MOUNT}/reach.py", *map(str, minors), gpus=gpus)
    assert found.status == 0, failure_text(found)
    return json.loads(found.output)


def assert_only(found: Any, device: Device, uuid: str) -> None:  # noqa: ANN401
    """Check that a container has one GPU, and that it works."""
    assert set(found["devices"]) == {CONTROL, MEMORY, device.name}
    assert [each for _, each in found["driver"]["gpus"]] == [uuid]
    assert found["driver"]["added"] is True
    (line,) = found["smi"]["list"]["output"].splitlines()
    assert uuid in line
    assert "CUDA_ERROR_INVALID_DEVICE" in found["beyond"]


def test_container_with_one_gpu_cannot_reach_the_others(
    sandboxes: Sandboxes, python: str, gpu: Node, uuids: dict[int, str], seen: Seen
) -> None:
    """Each GPU in turn, by its minor number: CUDA and nvidia-smi see no other one, and the nodes of
    the others do not open, also if the user makes them."""
    attempts = []
    for device in gpu.gpus:
        others = [minor for minor in uuids if minor != device.minor]
        found = reach(sandboxes, python, f"minor:{device.minor}", *others)
        assert_only(found, device, uuids[device.minor])
        attempts += [f"{device.name} alone: {found['beyond']}, {found['opened']}"]
        errors = {error for each in found["opened"].values() for error in each}
        assert len(found["opened"]) == len(others)
        # No node, a node of the image below a mount without devices, or an empty mount point.
        assert errors <= {"ENOENT", "EACCES", "EROFS"}, found["opened"]
    seen("; ".join(attempts))


def test_pod_reaches_no_gpu_of_another_pod(
    sandboxes: Sandboxes,
    python: str,
    gpu: Node,
    pod: RunningContainer | None,
    seen: Seen,
    pytestconfig: pytest.Config,
) -> None:
    """A sandbox sees its pod's GPUs; the pod itself opens no other, also if it makes a node."""
    others = sorted({card.minor for card in cards.read()} - {d.minor for d in gpu.gpus})
    if not pod or not others:
        not_run(pytestconfig, "pod", "no pod with some of this machine's GPUs")
    found = reach(sandboxes, python, "all", *others)
    tried = place.run(pod, ["sh", "-c", OPEN, "sh", *map(str, others)])
    seen(f"GPUs {found['driver']['gpus']}, {found['opened']}, in the pod: {tried.output}")
    assert len(found["driver"]["gpus"]) == len(gpu.gpus)
    assert found["driver"]["added"] is True
    errors = {error for each in found["opened"].values() for error in each}
    assert errors <= {"ENOENT", "EACCES", "EROFS", "EPERM"}, found["opened"]
    assert "opened" not in tried.output, tried.output


def test_container_with_all_gpus_reaches_each(
    sandboxes: Sandboxes, python: str, uuids: dict[int, str], seen: Seen
) -> None:
    """The control of the check above: the same probe reaches GPUs that the container has."""
    found = reach(sandboxes, python, "all", *uuids)
    seen(f"{len(found['driver']['gpus'])} GPUs, {found['opened']}")
    assert sorted(uuid for _, uuid in found["driver"]["gpus"]) == sorted(uuids.values())
    assert found["driver"]["added"] is True
    assert found["opened"] == {str(minor): ["opened", "opened"] for minor in uuids}


def test_nccl_adds_over_all_gpus(
    sandboxes: Sandboxes,
    python: str,
    gpu: Node,
    uuids: dict[int, str],
    torch: Facts,
    seen: Seen,
) -> None:
    """Each GPU adds its own number, and each gets the sum, in one sandbox as on the node."""
    assert torch["torch"]["available"] is True
    count = len(uuids)
    expected = count * [2 * [count * (count + 1) / 2]]
    probe = [python, str(PROBES / "all_reduce.py"), "sums"]
    assert sums(place.run_command(["env", *gpu.native_environment, *probe])) == expected
    found = sandboxes(python, f"{PROBES_MOUNT}/all_reduce.py", "sums")
    seen(f"{found.output}; calls that nvproxy does not handle: {unhandled(found.log) or 'none'}")
    assert sums(found) == expected


def sums(result: CommandResult) -> Any:  # noqa: ANN401
    """Parse the probe's output."""
    assert result.status == 0, failure_text(result)
    return json.loads(result.output)


def test_nvidia_smi_topology_lacks_at_most_the_pci_bus(
    sandboxes: Sandboxes, gpu: Node, seen: Seen
) -> None:
    """nvidia-smi topo -m reads the PCI devices in sysfs, which gVisor's does not have."""
    native = place.run_command(["env", *gpu.native_environment, *TOPOLOGY])
    found = sandboxes(*TOPOLOGY, flags=["--strace"])
    missing = {
        re.sub(r"(cpu|index)[0-9]+", r"\1N", f"/{path}"): call
        for call, path in NOT_FOUND.findall(found.log)
    }
    last = (found.output.strip() or found.errors.strip() or "no output").splitlines()[-1]
    seen(
        f"exit status {native.status} on the node, {found.status} in the sandbox: {last};"
        f" not found in sysfs: {missing or 'nothing'};"
        f" calls that nvproxy does not handle: {unhandled(found.log) or 'none'}"
    )
    assert found.status == native.status or PCI_DEVICES in missing
