"""Does CUDA work inside runsc as on the node?

U1 to U8 are the project's rows; the other tests are the requirements' own checks.
"""

from tests.workload.sandboxes import Facts, SandboxRun, Seen, unhandled
from worker_images.node.node import Node
from worker_images.node.spec import LIBRARIES

# The CUDA major version of each driver branch, since the first one of CUDA 12.
CUDA_MAJORS = {range(525, 580): 12, range(580, 1000): 13}


def test_kernel_is_gvisor(sandboxed: SandboxRun, native: Facts, seen: Seen) -> None:
    """U1: the sandbox runs gVisor's kernel; another runtime would pass the other checks."""
    assert "Starting gVisor" in sandboxed.facts["kernel"]["log"]
    assert sandboxed.facts["kernel"]["version"] != native["kernel"]["version"]
    seen(sandboxed.facts["kernel"]["version"])


def test_devices_are_exactly_those_of_nvproxy(sandboxed: SandboxRun, gpu: Node, seen: Seen) -> None:
    """U2: no other device exists; the major number of nvidia-uvm may differ from the node's."""
    found = sandboxed.facts["devices"]
    seen(str(found))
    assert set(found) == {device.name for device in gpu.devices}
    assert found["nvidiactl"] == [195, 255]
    assert found["nvidia-uvm"][1] == 0


def test_driver_creates_no_device_files(sandboxed: SandboxRun) -> None:
    """U3: nvproxy reports ModifyDeviceFiles 0; the node's driver may report another value."""
    assert "ModifyDeviceFiles: 0" in sandboxed.facts["parameters"].splitlines()


def test_loader_finds_the_node_libcuda(sandboxed: SandboxRun, gpu: Node, seen: Seen) -> None:
    """U4: the loader finds the driver's libcuda, not a compat library or a stub."""
    found = sandboxed.facts["loader"]
    seen(str(found))
    assert found[f"{LIBRARIES}/libcuda.so.1"] == f"{LIBRARIES}/libcuda.so.{gpu.driver}"
    assert sandboxed.facts["loaded"] == f"{LIBRARIES}/libcuda.so.{gpu.driver}"


def test_libcuda_initializes(sandboxed: SandboxRun, native: Facts, gpu: Node, seen: Seen) -> None:
    """U5: libcuda alone initializes, and reports the CUDA version of the driver's branch."""
    found = sandboxed.facts["driver"]
    branch = int(gpu.driver.partition(".")[0])
    assert found["cuda"] // 1000 == next(
        major for branches, major in CUDA_MAJORS.items() if branch in branches
    )
    assert found["cuda"] == native["driver"]["cuda"]
    seen(f"cuInit 0, cuDriverGetVersion {found['cuda']}")


def test_nvidia_smi_output_matches_the_node(
    sandboxed: SandboxRun, native: Facts, gpu: Node, seen: Seen
) -> None:
    """U6: nvidia-smi also works where CUDA does not, so it is never the only check."""
    assert sandboxed.facts["smi"] == native["smi"]
    seen(sandboxed.facts["smi"]["list"]["output"])
    assert sandboxed.facts["smi"]["version"]["output"].split()[0] == gpu.driver


def test_cuda_kernel_adds_two_vectors(sandboxed: SandboxRun) -> None:
    """U7: a CUDA kernel computes a correct result on each GPU."""
    assert sandboxed.facts["driver"]["added"] is True


def test_gpus_match_the_node(sandboxed: SandboxRun, native: Facts, gpu: Node, seen: Seen) -> None:
    """U8: their number, names and UUIDs."""
    found = sandboxed.facts["driver"]["gpus"]
    seen(f"{len(found)}: {found}")
    assert len(found) == len(gpu.gpus)
    assert found == native["driver"]["gpus"]


def test_torch_multiplies_matrices(
    sandboxed: SandboxRun, torch: Facts, gpu: Node, seen: Seen
) -> None:
    """U8: the product of matrices has the correct sum on each GPU, 512 * 512 * 512."""
    found = sandboxed.facts["torch"]
    seen(str(found))
    assert found["available"] is True
    assert found["sums"] == len(gpu.gpus) * [134217728.0]
    assert found == torch["torch"]


def test_requirements_test_gpu_prints_the_same_as_on_the_node(
    sandboxed: SandboxRun, torch: Facts, seen: Seen
) -> None:
    """The requirements' test_gpu.py runs unchanged."""
    found = sandboxed.facts["test_gpu"]
    seen(found["output"])
    assert (found["status"], found["output"]) == (0, torch["test_gpu"]["output"])
    assert found["output"].splitlines()[0] == "CUDA: True"


def test_debug_log_names_the_node_driver(sandboxed: SandboxRun, gpu: Node) -> None:
    """runsc logs the driver's version with any flags; the requirements search ps for a flag."""
    assert f"--nvidia-driver-version={gpu.driver}" in sandboxed.result.log


def test_nvproxy_handles_every_driver_call(sandboxed: SandboxRun) -> None:
    """Only runsc's log shows a call of the driver that nvproxy does not handle."""
    assert not unhandled(sandboxed.result.log)
