"""Does CUDA work inside runsc as it does on the node? The rows U1 to U8, and the requirements' own
checks.
"""

import re

import pytest

from tests.workload.user import Facts, Inside, Seen
from worker_images.harness.options import not_run
from worker_images.node.node import Node
from worker_images.node.spec import LIBRARIES

# NVIDIA numbers the CUDA that a driver serves by its branch, from CUDA 12's first on.
CUDA_MAJORS = {range(525, 580): 12, range(580, 1000): 13}


def test_the_kernel_is_gvisors(inside: Inside, native: Facts, seen: Seen) -> None:
    """U1. A fallback to another runtime would pass all that follows."""
    assert "Starting gVisor" in inside.facts["kernel"]["log"]
    assert inside.facts["kernel"]["version"] != native["kernel"]["version"]
    seen(inside.facts["kernel"]["version"])


def test_devices_are_exactly_those_served(inside: Inside, gpu: Node, seen: Seen) -> None:
    """U2. The major of nvidia-uvm may be another than the node's."""
    found = inside.facts["devices"]
    seen(str(found))
    assert set(found) == {device.name for device in gpu.devices}
    assert found["nvidiactl"] == [195, 255]
    assert found["nvidia-uvm"][1] == 0


def test_the_driver_does_not_make_device_files(inside: Inside) -> None:
    """U3. nvproxy answers for the driver here; the node itself may say otherwise."""
    assert "ModifyDeviceFiles: 0" in inside.facts["parameters"].splitlines()


def test_the_loader_finds_the_nodes_libcuda(inside: Inside, gpu: Node, seen: Seen) -> None:
    """U4, and the requirements' ldconfig: by the cache and without it, the driver's own version, no
    compat, no stub.
    """
    found = inside.facts["loader"]
    seen(str(found))
    assert found[f"{LIBRARIES}/libcuda.so.1"] == f"{LIBRARIES}/libcuda.so.{gpu.driver}"
    assert inside.facts["loaded"] == f"{LIBRARIES}/libcuda.so.{gpu.driver}"


def test_the_drivers_library_starts(inside: Inside, native: Facts, gpu: Node, seen: Seen) -> None:
    """U5. By the driver's library alone; its CUDA is the one that the driver's branch serves."""
    found = inside.facts["driver"]
    branch = int(gpu.driver.partition(".")[0])
    assert found["cuda"] // 1000 == next(
        major for branches, major in CUDA_MAJORS.items() if branch in branches
    )
    assert found["cuda"] == native["driver"]["cuda"]
    seen(f"cuInit 0, cuDriverGetVersion {found['cuda']}")


def test_nvidia_smi_says_what_it_says_on_the_node(
    inside: Inside, native: Facts, gpu: Node, seen: Seen
) -> None:
    """U6. It passes also where CUDA does not: never the only check."""
    assert inside.facts["smi"] == native["smi"]
    seen(inside.facts["smi"]["list"]["output"])
    assert inside.facts["smi"]["version"]["output"].split()[0] == gpu.driver


def test_a_kernel_adds_two_vectors(inside: Inside) -> None:
    """U7."""
    assert inside.facts["driver"]["added"] is True


def test_gpus_are_the_nodes(inside: Inside, native: Facts, gpu: Node, seen: Seen) -> None:
    """U8. Their number, name and identity."""
    found = inside.facts["driver"]
    seen(f"{found['count']}, {found['name']}, {found['uuid']}")
    assert found["count"] == len(gpu.gpus)
    assert (found["name"], found["uuid"]) == (native["driver"]["name"], native["driver"]["uuid"])


@pytest.fixture
def torch(native: Facts, pytestconfig: pytest.Config) -> Facts:
    """What torch said on the node; without it here it is in no container either."""
    if "ModuleNotFoundError" in native.error("torch"):
        not_run(
            pytestconfig,
            "workload",
            "the user's python has no torch: name one that has it with --python",
        )
    return native


def test_torch_multiplies_matrices(inside: Inside, torch: Facts, gpu: Node, seen: Seen) -> None:
    """U8. 512 ones in 512 times 512 sums."""
    found = inside.facts["torch"]
    seen(str(found))
    assert (found["available"], found["count"], found["sum"]) == (True, len(gpu.gpus), 134217728.0)
    assert found == torch["torch"]


def test_the_requirements_test_gpu(inside: Inside, torch: Facts, seen: Seen) -> None:
    """As given."""
    found = inside.facts["note"]
    seen(found["output"])
    assert (found["status"], found["output"]) == (0, torch["note"]["output"])
    assert found["output"].splitlines()[0] == "CUDA: True"


def test_the_sandbox_knows_the_nodes_driver(inside: Inside, gpu: Node) -> None:
    """What the requirements look for in ps and in the worker's log, whatever the flags were."""
    assert f"--nvidia-driver-version={gpu.driver}" in inside.outcome.log


def test_no_call_went_unanswered(inside: Inside) -> None:
    """A call of the driver that nvproxy does not know shows in the log alone."""
    assert not set(re.findall(r"nvproxy: (?:handler is undefined|unknown) .*", inside.outcome.log))
