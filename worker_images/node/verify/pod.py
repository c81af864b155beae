"""The checklist's rows for the worker's pod: what Kubernetes was asked for, and what the pod
has.
"""

import re

from worker_images.model.drivers.kernel import version_in
from worker_images.node import cause
from worker_images.node.place import Answer
from worker_images.node.verify.devices import COUNT, DEVICES, counted, devices, limit
from worker_images.node.verify.image import BOOT, boots
from worker_images.node.verify.rights import SURROUNDINGS, surroundings
from worker_images.node.verify.rows import (
    ABSENT,
    FAILED,
    NOT_ASKED,
    PASSED,
    RIGHT,
    WEAK,
    WRONG,
    Finding,
    Row,
    Scene,
    served,
)

CHECKLIST, LAYERS = "Verification Checklist: Worker Pod", "What Each Layer Needs: Worker Pod"
CLASS = "nvidia"
WITH_CLUSTER = Finding(NOT_ASKED, "", step="--context CTX")
NO_DRIVER = (
    "no driver's version in /proc/driver/nvidia: the node's driver is not loaded, or the pod has"
    " no GPU"
)
LOAD = "load the driver on the node (nvidia-smi must work there), then make the pod anew"
HANDED = (
    "the container runtime handed none of the driver's files in",
    f"runtimeClassName {CLASS}, and NVIDIA_DRIVER_CAPABILITIES=compute,utility for the pod",
)
INSTALLED = (
    "this machine has not the files of its driver's version",
    "install the driver's libraries of the very version of its kernel module",
)
FOLDERS = "/usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64"
LIBRARY = re.compile(r"/(libcuda|libnvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
WHOLE_GPUS = re.compile(r"(?:\d+|GPU-[^,]+)(?:,(?:\d+|GPU-[^,]+))*")
VISIBLE = {
    "": "empty: the runtime hands no GPU in",
    "void": "void: the runtime hands no GPU in",
    "none": "none: the runtime hands no GPU in",
    "all": (
        "all: every GPU of the node, whatever the limit says; an image has set it, not the device"
        " plugin"
    ),
}


def runtime_class(scene: Scene, _: Answer) -> Finding:
    """The class is there, the pod names it, and has a limit."""
    if not scene.cluster:
        return WITH_CLUSTER
    pod = scene.cluster.get("pod", scene.cluster.pod)
    named, wanted = pod["spec"].get("runtimeClassName", ""), limit(pod)
    handler = scene.cluster.get("runtimeclass", CLASS)["handler"]
    found = (
        f"handler {handler}; the pod has runtimeClassName {named or 'none'} and nvidia.com/gpu"
        f" {wanted}"
    )
    if handler != CLASS:
        return Finding(
            FAILED,
            found,
            f"RuntimeClass {CLASS} leads to {handler}, not to NVIDIA's runtime",
            f"set its handler to {CLASS}",
        )
    if named != CLASS:
        return Finding(
            FAILED,
            found,
            "the pod runs in another runtime, which adds no driver",
            f"set runtimeClassName: {CLASS}",
        )
    if not wanted:
        return Finding(
            FAILED, found, "the pod asks for no GPU", "set resources.limits: nvidia.com/gpu: 1"
        )
    return Finding(PASSED, found)


def driver(scene: Scene, said: Answer) -> Finding:
    """The kernel driver's version, and that runsc here serves it."""
    version, known = version_in(said.output), served(said.output)
    if not version:
        return Finding(FAILED, "no /proc/driver/nvidia/version", NO_DRIVER, LOAD)
    if version not in known:
        words = (
            f"runsc refuses {version}: a sandbox ends with EOF"
            if known
            else "runsc gives no list of drivers here"
        )
        return Finding(
            FAILED, f"{version}, not among {len(known)}", words, cause.serving(version, scene.table)
        )
    return Finding(PASSED, f"{version}, among {len(known)}")


def libraries(scene: Scene, said: Answer) -> Finding:
    """libcuda and NVML are there, of the kernel driver's version and no other."""
    version = version_in(said.output) if scene.node is None else scene.node.driver
    text = (
        said.output if scene.node is None else "\n".join(str(path) for path in scene.node.libraries)
    )
    found = {
        name: {each for one, each in LIBRARY.findall(text) if one == name}
        for name in ("libcuda", "libnvidia-ml")
    }
    seen = (
        ", ".join(
            f"{name}.so.{each}" for name, versions in found.items() for each in sorted(versions)
        )
        or "no libcuda, no libnvidia-ml"
    )
    missing = [name for name, versions in found.items() if not versions]
    if missing:
        words, step = HANDED if scene.cluster else INSTALLED
        return Finding(FAILED, seen, f"no {' and no '.join(missing)}: {words}", step)
    if not version:
        return Finding(FAILED, seen, NO_DRIVER, LOAD)
    if any(versions != {version} for versions in found.values()):
        return Finding(
            FAILED,
            f"{seen}; driver {version}",
            "CUDA and NVML refuse a driver of another version",
            "make the pod anew",
        )
    return Finding(PASSED, seen)


def visible(scene: Scene, said: Answer) -> Finding:
    """Whole GPUs by number or identity."""
    if not scene.cluster:
        return WITH_CLUSTER
    value = said.output.strip()
    if value == "unset":
        return Finding(PASSED, "not set: the device plugin hands GPUs over in another way")
    if WHOLE_GPUS.fullmatch(value):
        return Finding(PASSED, value)
    words = VISIBLE.get(
        value, f"{value}: nvproxy knows whole GPUs only, by number or GPU-…, and no MIG"
    )
    return Finding(
        FAILED,
        value or "empty",
        words,
        "leave the variable to the device plugin; hand whole GPUs to these nodes",
    )


ROWS = (
    Row(
        layer="pod",
        section=LAYERS,
        note=(
            "runtimeClassName: nvidia  # Gets GPU devices from device plugin\nnvidia.com/gpu: 1  #"
            " Request GPU from device plugin"
        ),
        worth=RIGHT,
        reason="both are needed; but a manifest says what was asked for, not what the pod has",
        check="the pod has the RuntimeClass and a limit",
        expected="handler nvidia, runtimeClassName nvidia, nvidia.com/gpu at least 1",
        judge=runtime_class,
    ),
    Row(
        layer="pod",
        section=CHECKLIST,
        note="kubectl exec -it <worker-pod> -- ls -la /dev/nvidia*",
        worth=WEAK,
        reason=(
            "passes for plain files and folders and opens nothing; and the reader's own shell"
            " expands the *, not the pod's"
        ),
        check="the devices are the driver's, and open",
        expected=(
            "nvidiactl 195:255, nvidia-uvm with the major of /proc/devices and minor 0, nvidiaN"
            " 195:N; all open"
        ),
        judge=devices,
        command=DEVICES,
        own="ls -la /dev/nvidia*",
    ),
    Row(
        layer="pod",
        section=CHECKLIST,
        note="kubectl exec -it <worker-pod> -- cat /proc/driver/nvidia/version",
        worth=RIGHT,
        reason=(
            "in the pod; it is to be compared with runsc's list, and there is no such file in a"
            " sandbox"
        ),
        check="runsc in the pod serves its driver",
        expected="the version, among those of runsc nvproxy list-supported-drivers",
        judge=driver,
        command="cat /proc/driver/nvidia/version; runsc nvproxy list-supported-drivers",
        own="cat /proc/driver/nvidia/version",
    ),
    Row(
        layer="pod",
        section=LAYERS,
        note="GPU scheduling and isolation",
        worth=ABSENT,
        reason=(
            "the note claims it and asks nothing: a privileged pod, or an image that sets"
            " NVIDIA_VISIBLE_DEVICES=all, sees every GPU"
        ),
        check="the pod has as many GPUs as its limit",
        expected="as many /dev/nvidiaN as nvidia.com/gpu",
        judge=counted,
        command=COUNT,
    ),
    Row(
        layer="pod",
        section="What's Actually Needed for nvproxy",
        note="| NVIDIA user libraries | ❌ Not needed in worker | Inner container images |",
        worth=WRONG,
        reason="libcuda belongs to the node's driver, to its very version; no image can bring it",
        check="the driver's own libcuda and NVML were handed in",
        expected="libcuda.so.<driver> and libnvidia-ml.so.<driver>, of no other version",
        judge=libraries,
        command=(
            f"cat /proc/driver/nvidia/version\nfor each in {FOLDERS}; do ls -d $each/libcuda.so.*.*"
            " $each/libnvidia-ml.so.*.*; done"
        ),
    ),
    Row(
        layer="pod",
        section=CHECKLIST,
        note="",
        worth=ABSENT,
        reason=(
            "the note does not ask; MIG, void and all are refused or give what was not asked for"
        ),
        check="NVIDIA_VISIBLE_DEVICES names whole GPUs",
        expected="numbers or GPU-…, or not set",
        judge=visible,
        command='echo "${NVIDIA_VISIBLE_DEVICES-unset}"',
    ),
    Row(
        layer="pod",
        section=CHECKLIST,
        note="",
        worth=ABSENT,
        reason=(
            "the note does not ask; what seccomp, capabilities or Yama forbid, a user sees as EOF"
        ),
        check="its rights allow sandboxes, as far as they can tell",
        expected="CAP_SYS_ADMIN or user namespaces; ptrace_scope at most 1",
        judge=surroundings,
        command=SURROUNDINGS,
    ),
    Row(
        layer="pod",
        section="Ensure Worker Pod Has GPU Access",
        note="",
        worth=ABSENT,
        reason="the note starts no sandbox before a GPU workload does",
        check="a sandbox boots in this very pod",
        expected="Linux version … gvisor",
        judge=boots,
        command=BOOT,
    ),
)
