"""Device nodes of the driver in a pod: type, numbers, access, and the number of GPUs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker_images.node.node import CONTROL, CONTROL_MINOR, FRONTEND_MAJOR, GPU, MEMORY
from worker_images.node.pod.finding import Finding, join
from worker_images.node.pod.request import Request

# Opening a missing path for reading and writing would create a file, so existence is checked first.
SCRIPT = """for each in /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia[0-9]*; do
  [ -e "$each" ] || continue
  stat -L -c '%n is %F %t:%T' "$each"
  if errors=$( (exec 3<>"$each") 2>&1); then echo "$each opens"
  else echo "$each refuses: ${errors##*: }"; fi
done
grep nvidia /proc/devices || true"""
IS = re.compile(r"^/dev/(\S+) is (.+) ([0-9a-f]+):([0-9a-f]+)$", re.MULTILINE)
REFUSES = re.compile(r"^/dev/(\S+) refuses: (.*)$", re.MULTILINE)
MAJOR = re.compile(r"^\s*(\d+) nvidia-uvm$", re.MULTILINE)
DEVICE = "character special file"
ADD = "give the pod runtimeClassName nvidia and a limit nvidia.com/gpu"
LOAD = "load the driver's modules on the node: nvidia-modprobe -u -c 0"
CDI = "correct the node's CDI specification (nvidia-ctk cdi generate), and recreate the pod"
NO_DRIVER = "No such device or address"
STEPS = {
    NO_DRIVER: LOAD,
    "Operation not permitted": f"the pod's device cgroup forbids it; {ADD}",
    "Permission denied": "run the worker as root, or give its user access to the device node",
}
TOOLS_MINOR = 1


@dataclass(frozen=True)
class Node:
    """A path in /dev, with what stat prints of it."""

    name: str
    kind: str
    major: int
    minor: int

    @property
    def is_device(self) -> bool:
        """Whether it is a character device."""
        return self.kind == DEVICE


def nodes(text: str) -> dict[str, Node]:
    """The nodes in the script's output, by name."""
    return {
        name: Node(name, kind, int(major, 16), int(minor, 16))
        for name, kind, major, minor in IS.findall(text)
    }


def numbers(text: str, *, stand_in: bool = False) -> Finding:
    """Check that the devices are complete and have the kernel's numbers.

    The kernel lists no major number for a stand-in of nvidia-uvm.
    """
    found = nodes(text)
    seen = ", ".join(f"{each.name} {each.major}:{each.minor}" for each in found.values())
    memory = MAJOR.search(text)
    major = int(memory[1]) if memory else None
    if stand_in and MEMORY in found:
        major = found[MEMORY].major
    problems = [*_missing(found), *_not_devices(found), *_wrong_numbers(found, major)]
    return join(seen or "no /dev/nvidia*", problems)


def _missing(found: Mapping[str, Node]) -> Iterator[str]:
    missing = [name for name in (CONTROL, MEMORY) if name not in found]
    if not any(map(GPU.match, found)):
        missing.append("nvidiaN")
    if missing:
        yield f"missing devices: {', '.join(missing)}; {ADD}"


def _not_devices(found: Mapping[str, Node]) -> Iterator[str]:
    for each in found.values():
        if not each.is_device:
            yield f"{each.name} is a {each.kind}, not a device; remove it, and {ADD}"


def _wrong_numbers(found: Mapping[str, Node], memory: int | None) -> Iterator[str]:
    for each in filter(lambda node: node.is_device, found.values()):
        if each.name == MEMORY and memory is None:
            yield f"the kernel has no nvidia-uvm in /proc/devices; {LOAD}"
            continue
        major = memory if each.name == MEMORY else FRONTEND_MAJOR
        expected = (major, _minor(each.name))
        if (each.major, each.minor) != expected:
            wrong = f"{each.name} is {each.major}:{each.minor}, expected {major}:{expected[1]}"
            is_tools = each.name == MEMORY and each.minor == TOOLS_MINOR
            note = " (minor 1 is nvidia-uvm-tools, with which CUDA fails)" if is_tools else ""
            yield f"{wrong}{note}; {CDI}"


def _minor(name: str) -> int:
    if name == CONTROL:
        return CONTROL_MINOR
    gpu = GPU.match(name)
    return int(gpu[1]) if gpu else 0


def opening(text: str, *, stand_in: bool = False) -> Finding:
    """Check that the devices open.

    A stand-in has no driver behind it: there, the kernel must answer that there is none. Any other
    error came before the kernel looked for a driver.
    """
    devices = [name for name, node in nodes(text).items() if node.is_device]
    if not devices:
        return Finding("no /dev/nvidia*", f"no device to open; {ADD}")
    refused: dict[str, list[str]] = {}
    for name, error in REFUSES.findall(text):
        if name in devices:
            refused.setdefault(error, []).append(name)
    if stand_in and refused == {NO_DRIVER: devices}:
        return Finding(f"{', '.join(devices)}: the pod may open them, no driver behind them")
    problems = [
        f"{', '.join(names)}: {error}; {STEPS.get(error, ADD)}" for error, names in refused.items()
    ]
    if stand_in and not refused:
        problems = [f"{', '.join(devices)} open: these are not stand-ins; remove --stand-in"]
    return join(
        f"{', '.join(devices)}: {'; '.join(refused) or 'all open'}",
        problems,
    )


def count(text: str, request: Request) -> Finding:
    """Compare the number of GPUs with the container's limit.

    Containers that share GPUs by time may get fewer devices than they have shares.
    """
    gpus = [name for name, node in nodes(text).items() if node.is_device and GPU.match(name)]
    seen = f"{len(gpus)} in /dev; the limit is {request}"
    least = min(1, request.count) if request.is_shared else request.count
    if not gpus:
        return Finding(seen, f"a GPU is missing: {seen}; {ADD}")
    if len(gpus) < least:
        return Finding(
            seen,
            f"fewer GPUs than requested: {seen}: on a node that shares GPUs by time, the limit"
            " counts shares, and several may be of one GPU; set the limit to 1, or remove"
            " sharing.timeSlicing from the configuration of NVIDIA's device plugin",
        )
    if len(gpus) > request.count:
        return Finding(
            seen,
            f"more GPUs than requested: {seen}: the pod is privileged, or its image or manifest"
            " sets NVIDIA_VISIBLE_DEVICES=all; remove both, or give sandboxes only the GPUs of the"
            " limit",
        )
    return Finding(seen)
