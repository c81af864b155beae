"""Does CUDA run on the node without gVisor?"""

import re
import stat
from pathlib import Path

from tests.workload.sandboxes import Facts, Seen
from worker_images.node import place, selection
from worker_images.node.node import FRONTEND_MAJOR, Node


def test_device_numbers_match_the_kernel(gpu: Node, seen: Seen) -> None:
    rows = (line.split() for line in Path("/proc/devices").read_text().splitlines())
    majors = {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit()}
    found = {device.name: (device.major, device.minor) for device in gpu.devices}
    seen(str(found))
    assert found["nvidiactl"] == (FRONTEND_MAJOR, 255)
    assert found["nvidia-uvm"] == (majors["nvidia-uvm"], 0)
    assert gpu.gpus
    assert all(stat.S_ISCHR(Path(device.path).stat().st_mode) for device in gpu.devices)


def test_driver_files_match_the_kernel_driver_version(gpu: Node) -> None:
    assert f"libcuda.so.{gpu.driver}" in {path.name for path in gpu.libraries}
    assert f"libnvidia-ml.so.{gpu.driver}" in {path.name for path in gpu.libraries}


def test_cuda_kernel_runs_on_the_node(native: Facts, seen: Seen) -> None:
    assert native["driver"]["added"] is True
    seen(str(native["driver"]))


def test_nvidia_smi_lists_every_gpu(native: Facts, gpu: Node, seen: Seen) -> None:
    assert len(native["smi"]["list"]["output"].splitlines()) == len(gpu.gpus)
    assert native["smi"]["version"]["output"].split()[0] == gpu.driver
    seen(native["smi"]["list"]["output"])


def test_gpus_are_numbered_as_by_nvidia_smi(gpu: Node, seen: Seen) -> None:
    """bundle --gpus 0 is GPU 0 of nvidia-smi, whatever the minor number of its device."""
    text = place.run_command(["env", *gpu.native_environment, "nvidia-smi", "-q", "-x"]).output
    minors = re.findall("<minor_number>([0-9]+)</minor_number>", text)
    uuids = re.findall("<uuid>(GPU-[^<]+)</uuid>", text)
    found = selection.gpus(gpu)
    seen(f"minor numbers {', '.join(minors)}; /proc lists {len(gpu.cards)} GPUs")
    assert found
    assert [str(each.device.minor) for each in found] == minors
    assert [each.name for each in found] == uuids or not gpu.cards
