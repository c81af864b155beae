"""Probes of the worker's pod: what Kubernetes was given, and what the pod has.

No test layer looks at pods yet, so each probe gives the result of its row itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from worker_images.model.drivers.kernel import version_in
from worker_images.model.results import FAILED, PASSED, Result
from worker_images.node import cause
from worker_images.node.place import Answer, PlaceError
from worker_images.node.verify.devices import COUNT, DEVICES, counted, devices, limit
from worker_images.node.verify.rights import RIGHTS, rights
from worker_images.node.verify.target import Target, explained, last_line, shell

CLASS = "nvidia"
BOOT = "runsc --rootless --network=none --ignore-cgroups do cat /proc/version"
DRIVER = "cat /proc/driver/nvidia/version; runsc nvproxy list-supported-drivers"
FOLDERS = "/usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64"
LIBRARIES = f"""cat /proc/driver/nvidia/version
for each in {FOLDERS}; do ls -d $each/libcuda.so.*.* $each/libnvidia-ml.so.*.*; done"""
VISIBLE = 'echo "${NVIDIA_VISIBLE_DEVICES-unset}"'
NO_DRIVER = (
    "no driver's version in /proc/driver/nvidia: the node's driver is not loaded, or the pod has"
    " no GPU"
)
LOAD = "load the driver on the node (nvidia-smi must work there), then recreate the pod"
DRIVER_LINE = re.compile(r"^\d{3}\.\d{2,3}\.\d{2}$", re.MULTILINE)
LIBRARY = re.compile(r"/(libcuda|libnvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
WANTED = ("libcuda", "libnvidia-ml")
WHOLE_GPUS = re.compile(r"(?:\d+|GPU-[^,]+)(?:,(?:\d+|GPU-[^,]+))*")
NO_GPU = ("", "void", "none")


@dataclass(frozen=True)
class Probe:
    """A line for a shell in the pod, and what its answer means."""

    line: str
    read: Callable[[Target, Answer], Result]

    def result(self, target: Target) -> Result:
        """Run it; a pod that gives no answer fails."""
        try:
            found = shell(target.place, self.line) if self.line else Answer(0, "", "")
            return self.read(target, found)
        except PlaceError as error:
            return Result(FAILED, "no answer", str(error), "fix this and retry")


def runtime_class(target: Target, _: Answer) -> Result:
    """The class exists, the pod names it, and has a limit."""
    assert target.cluster
    pod = target.cluster.get("pod", target.cluster.pod)
    handler = target.cluster.get("runtimeclass", CLASS)["handler"]
    named = pod["spec"].get("runtimeClassName", "none")
    gpus = limit(pod)
    seen = f"handler {handler}; the pod has runtimeClassName {named} and nvidia.com/gpu {gpus}"
    if handler != CLASS:
        reason = f"RuntimeClass {CLASS} has handler {handler}, not NVIDIA's runtime"
        return Result(FAILED, seen, reason, f"set its handler to {CLASS}")
    if named != CLASS:
        reason = "the pod runs in another runtime, which adds no driver"
        return Result(FAILED, seen, reason, f"set runtimeClassName: {CLASS}")
    if not gpus:
        reason = "the pod requests no GPU"
        return Result(FAILED, seen, reason, "set resources.limits: nvidia.com/gpu: 1")
    return Result(PASSED, seen)


def driver(target: Target, found: Answer) -> Result:
    """The kernel driver's version, which runsc here must serve."""
    version = version_in(found.output)
    served = DRIVER_LINE.findall(found.output)
    if not version:
        return Result(FAILED, "no /proc/driver/nvidia/version", NO_DRIVER, LOAD)
    if version in served:
        return Result(PASSED, f"{version}, among {len(served)}")
    reason = f"runsc refuses {version}: a sandbox ends with EOF"
    if not served:
        reason = "runsc gives no list of drivers here"
    step = cause.serving(version, target.table)
    return Result(FAILED, f"{version}, not among {len(served)}", reason, step)


def libraries(target: Target, found: Answer) -> Result:
    """libcuda and NVML are there, of the kernel driver's version and no other."""
    version = version_in(found.output)
    text = found.output
    if target.node:
        version = target.node.driver
        text = "\n".join(map(str, target.node.libraries))
    files = sorted(set(LIBRARY.findall(text)))
    names = {name for name, _ in files}
    versions = {each for _, each in files}
    seen = ", ".join(".so.".join(file) for file in files)
    missing = [name for name in WANTED if name not in names]
    if missing:
        reason, step = _not_there(target)
        absent = f"no {' and no '.join(missing)}"
        return Result(FAILED, seen or absent, f"{absent}: {reason}", step)
    if not version:
        return Result(FAILED, seen, NO_DRIVER, LOAD)
    if versions != {version}:
        reason = "CUDA and NVML refuse a driver of another version"
        return Result(FAILED, f"{seen}; driver {version}", reason, "recreate the pod")
    return Result(PASSED, seen)


def _not_there(target: Target) -> tuple[str, str]:
    if target.cluster:
        return (
            "the container runtime added none of the driver's files",
            f"runtimeClassName {CLASS}, and NVIDIA_DRIVER_CAPABILITIES=compute,utility for the pod",
        )
    return (
        "this machine lacks the files of its driver's version",
        "install the driver's libraries of the same version as its kernel module",
    )


def visible(_: Target, found: Answer) -> Result:
    """Whole GPUs by number or identity."""
    value = found.output.strip()
    if value == "unset":
        return Result(PASSED, "not set: the device plugin adds GPUs in another way")
    if WHOLE_GPUS.fullmatch(value):
        return Result(PASSED, value)
    reason = f"{value}: nvproxy supports whole GPUs only, by number or GPU-…, and no MIG"
    if value in NO_GPU:
        reason = f"{value or 'empty'}: the runtime adds no GPU"
    if value == "all":
        reason = "all: every GPU of the node, whatever the limit; an image or a pod has set it"
    step = "leave the variable to the device plugin; give these nodes whole GPUs"
    return Result(FAILED, value or "empty", reason, step)


def boots(target: Target, found: Answer) -> Result:
    """gVisor's kernel answers."""
    if found.status == 0 and "gvisor" in found.output:
        return Result(PASSED, found.output.strip())
    text = f"{found.output}\n{found.errors}"
    reason, step = explained(text, target.table)
    return Result(FAILED, last_line(text), reason, step)


# By the name in checklist.json.
PROBES = {
    "runtime class": Probe("", runtime_class),
    "devices": Probe(DEVICES, devices),
    "driver": Probe(DRIVER, driver),
    "count": Probe(COUNT, counted),
    "libraries": Probe(LIBRARIES, libraries),
    "visible devices": Probe(VISIBLE, visible),
    "rights": Probe(RIGHTS, rights),
    "boot": Probe(BOOT, boots),
}
