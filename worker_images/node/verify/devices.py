"""Checks the driver's device nodes in a pod: type, numbers, access, and the number of GPUs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worker_images.model.results import FAILED, PASSED, Result
from worker_images.node.node import CONTROL, CONTROL_MINOR, FRONTEND_MAJOR, GPU, MEMORY
from worker_images.node.place import CommandResult
from worker_images.node.verify.target import Target

# Opening a missing path for reading and writing would create a file, so existence is checked first.
DEVICES = """for each in /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia[0-9]*; do
  [ -e "$each" ] || continue
  stat -L -c '%n is %F %t:%T' "$each"
  if errors=$( (exec 3<>"$each") 2>&1); then echo "$each opens"
  else echo "$each refuses: ${errors##*: }"; fi
done
grep nvidia /proc/devices || true"""
COUNT = """for each in /dev/nvidia[0-9]*; do if [ -c "$each" ]; then echo "$each"; fi; done
ls /proc/driver/nvidia/gpus 2>/dev/null | sed 's/^/driver: /'"""
IS = re.compile(r"^/dev/(\S+) is (.+) ([0-9a-f]+):([0-9a-f]+)$", re.MULTILINE)
REFUSES = re.compile(r"^/dev/(\S+) refuses: (.*)$", re.MULTILINE)
MAJOR = re.compile(r"^\s*(\d+) nvidia-uvm$", re.MULTILINE)
DEVICE = "character special file"
LIMIT = "nvidia.com/gpu"
REQUEST = "give the pod runtimeClassName nvidia and a limit nvidia.com/gpu"
LOAD = "load the driver's modules on the node: nvidia-modprobe -u -c 0"
STEPS = {
    "No such device or address": LOAD,
    "Operation not permitted": REQUEST,
    "Permission denied": ("run the worker as root, or give its user access to the device node"),
}

# A reason and the next step.
Problem = tuple[str, str]


@dataclass(frozen=True)
class _Node:
    name: str
    kind: str
    major: int
    minor: int


def devices(target: Target, found: CommandResult) -> Result:
    """Check that the devices are complete, have the kernel's numbers, and open."""
    nodes = {
        name: _Node(name, kind, int(major, 16), int(minor, 16))
        for name, kind, major, minor in IS.findall(found.output)
    }
    step = REQUEST if target.cluster else LOAD
    problems = [
        *_missing(nodes, step),
        *_not_devices(nodes, step),
        *_wrong_numbers(nodes, found.output),
        *_not_opening(nodes, found.output, step),
    ]
    numbers = [f"{each.name} {each.major}:{each.minor}" for each in nodes.values()]
    seen = ", ".join(numbers) or "no /dev/nvidia*"
    if not problems:
        return Result(PASSED, f"{seen}; all open")
    reasons = "; ".join(reason for reason, _ in problems)
    steps = "; ".join(dict.fromkeys(step for _, step in problems))
    return Result(FAILED, seen, reasons, steps)


def _missing(nodes: Mapping[str, _Node], step: str) -> Iterator[Problem]:
    missing = [name for name in (CONTROL, MEMORY) if name not in nodes]
    if not any(map(GPU.match, nodes)):
        missing.append("nvidiaN")
    if missing:
        yield f"missing devices: {', '.join(missing)}", step


def _not_devices(nodes: Mapping[str, _Node], step: str) -> Iterator[Problem]:
    for each in nodes.values():
        if each.kind != DEVICE:
            yield f"{each.name} is a {each.kind}", f"not a device: remove it, and {step}"


def _wrong_numbers(nodes: Mapping[str, _Node], text: str) -> Iterator[Problem]:
    memory = MAJOR.search(text)
    for each in nodes.values():
        if each.kind != DEVICE:
            continue
        if each.name == MEMORY and not memory:
            yield "/proc/devices has no nvidia-uvm", LOAD
            continue
        major = int(memory[1]) if memory and each.name == MEMORY else FRONTEND_MAJOR
        minor = _minor(each.name)
        if (each.major, each.minor) != (major, minor):
            yield (
                f"{each.name} is {each.major}:{each.minor}, expected {major}:{minor}",
                "recreate the pod; check its CDI specification",
            )


def _minor(name: str) -> int:
    if name == CONTROL:
        return CONTROL_MINOR
    gpu = GPU.match(name)
    return int(gpu[1]) if gpu else 0


def _not_opening(nodes: Mapping[str, _Node], text: str, step: str) -> Iterator[Problem]:
    names: dict[str, list[str]] = {}
    for name, error in REFUSES.findall(text):
        node = nodes.get(name)
        if node and node.kind == DEVICE:
            names.setdefault(error, []).append(name)
    for error, refused in names.items():
        reason = f"{', '.join(refused)}: {error}"
        yield reason, STEPS.get(error, step)


def gpu_count(target: Target, found: CommandResult) -> Result:
    """Compare the number of GPUs with the pod's limit, or on a node with the driver's number."""
    lines = found.output.splitlines()
    gpus = sum(line.startswith("/dev/") and bool(GPU.search(line)) for line in lines)
    if target.cluster:
        expected, source = limit(target.cluster.get("pod", target.cluster.pod)), "the limit is"
    else:
        expected, source = sum(line.startswith("driver: ") for line in lines), "the driver has"
    seen = f"{gpus} in /dev; {source} {expected}"
    if gpus < expected or not gpus:
        return Result(FAILED, seen, "a GPU is missing", REQUEST if target.cluster else LOAD)
    if gpus > expected:
        return Result(
            FAILED,
            seen,
            "more GPUs than requested: the pod is privileged, or its image sets"
            " NVIDIA_VISIBLE_DEVICES=all",
            "remove privileged and the variable, or give sandboxes only the GPUs of the limit",
        )
    return Result(PASSED, seen)


def limit(pod: dict[str, Any]) -> int:
    """Return the number of GPUs that all containers of a pod request."""
    limits = [each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"]]
    return sum(int(each.get(LIMIT, 0)) for each in limits)
