"""The driver's device nodes in a pod: what they are, whether they open, how many GPUs there are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker_images.node.node import CONTROL, CONTROL_MINOR, FRONTEND_MAJOR, GPU, MEMORY
from worker_images.node.place import Answer
from worker_images.node.verify.rows import FAILED, PASSED, Finding, Scene

# A shell that opens a path for reading and writing would make it where it is not.
DEVICES = """for each in /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia[0-9]*; do
  [ -e "$each" ] || continue
  stat -L -c '%n is %F %t:%T' "$each"
  if words=$( (exec 3<>"$each") 2>&1); then echo "$each opens"; else echo "$each refuses: ${words##*: }"; fi
done
grep nvidia /proc/devices || true"""
COUNT = """for each in /dev/nvidia[0-9]*; do if [ -c "$each" ]; then echo "$each"; fi; done
ls /proc/driver/nvidia/gpus 2>/dev/null | sed 's/^/driver: /'"""
IS = re.compile(r"^/dev/(\S+) is (.+) ([0-9a-f]+):([0-9a-f]+)$", re.MULTILINE)
REFUSES = re.compile(r"^/dev/(\S+) refuses: (.*)$", re.MULTILINE)
MAJOR = re.compile(r"^\s*(\d+) nvidia-uvm$", re.MULTILINE)
DEVICE = "character special file"
LIMIT = "nvidia.com/gpu"
ASK = "give the pod runtimeClassName nvidia and a limit nvidia.com/gpu"
LOAD = "load the driver's modules on the node: nvidia-modprobe -u -c 0"
STEPS = {
    "No such device or address": LOAD,
    "Operation not permitted": ASK,
    "Permission denied": (
        "its mode forbids it; run the worker as root, or open the node to its user"
    ),
}


@dataclass(frozen=True)
class _Node:
    name: str
    kind: str
    major: int
    minor: int


def devices(scene: Scene, said: Answer) -> Finding:
    """Character devices with the kernel's numbers, all there, all of which open."""
    found = {
        each[0]: _Node(each[0], each[1], int(each[2], 16), int(each[3], 16))
        for each in IS.findall(said.output)
    }
    major = MAJOR.search(said.output)
    give = ASK if scene.cluster else LOAD
    problems = [
        *_wrong(found, int(major[1]) if major else None, give),
        *_refused(said.output, found, give),
    ]
    seen = (
        ", ".join(f"{each.name} {each.major}:{each.minor}" for each in found.values())
        or "no /dev/nvidia*"
    )
    if problems:
        return Finding(
            FAILED,
            seen,
            "; ".join(words for words, _ in problems),
            "; ".join(dict.fromkeys(step for _, step in problems)),
        )
    return Finding(PASSED, f"{seen}; all open")


def _wrong(found: dict[str, _Node], major: int | None, give: str) -> Iterator[tuple[str, str]]:
    missing = [name for name in (CONTROL, MEMORY) if name not in found] + [
        "nvidia0 or another GPU"
    ] * (not any(map(GPU.match, found)))
    if missing:
        yield f"no {', no '.join(missing)}", give
    plain = [each for each in found.values() if each.kind != DEVICE]
    if plain:
        yield (
            ", ".join(f"{each.name} is a {each.kind}" for each in plain),
            f"not a device: remove it, and {give}",
        )
    for each in found.values():
        gpu = GPU.match(each.name)
        due = (
            major if each.name == MEMORY else FRONTEND_MAJOR,
            int(gpu[1]) if gpu else CONTROL_MINOR if each.name == CONTROL else 0,
        )
        if each in plain:
            continue
        if due[0] is None:
            yield "/proc/devices has no nvidia-uvm", LOAD
        elif due != (each.major, each.minor):
            yield (
                f"{each.name} is {each.major}:{each.minor}, the kernel's is {due[0]}:{due[1]}",
                "make the pod anew; look at its CDI specification",
            )


def _refused(text: str, found: dict[str, _Node], give: str) -> Iterator[tuple[str, str]]:
    by_words: dict[str, list[str]] = {}
    for name, words in REFUSES.findall(text):
        if name in found and found[name].kind == DEVICE:
            by_words.setdefault(words, []).append(name)
    for words, names in by_words.items():
        yield f"{', '.join(names)}: {words}", STEPS.get(words, give)


def counted(scene: Scene, said: Answer) -> Finding:
    """As many GPUs as the pod's limit; on a node, as many as its driver has."""
    lines = said.output.splitlines()
    found = sum(bool(GPU.search(line)) for line in lines if line.startswith("/dev/"))
    if scene.cluster:
        wanted, whose = limit(scene.cluster.get("pod", scene.cluster.pod)), "the limit"
    else:
        wanted, whose = sum(line.startswith("driver: ") for line in lines), "the driver"
    seen = f"{found}, and {whose} says {wanted}"
    if found < wanted or not found:
        return Finding(FAILED, seen, "a GPU is missing", ASK if scene.cluster else LOAD)
    if found > wanted:
        words = (
            "more GPUs than asked for: the pod is privileged, or its image sets"
            " NVIDIA_VISIBLE_DEVICES=all"
        )
        return Finding(
            FAILED,
            seen,
            words,
            "take away privileged and the variable, or hand the limit's GPUs alone down to"
            " sandboxes",
        )
    return Finding(PASSED, seen)


def limit(pod: dict[str, Any]) -> int:
    """The GPUs that a pod asks for, all its containers together."""
    return sum(
        int(each.get("resources", {}).get("limits", {}).get(LIMIT, 0))
        for each in pod["spec"]["containers"]
    )
