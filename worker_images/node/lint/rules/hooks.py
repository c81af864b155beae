"""The rules F6 and F8 to F10 of docs/launcher.md, on NVIDIA's hooks and the variables they read.

Without a hook and without --nvproxy-docker runsc reads neither variable.
"""

import shutil
from pathlib import Path
from typing import Any

from worker_images.node.driver.capabilities import ALL, ALLOWED, DEFAULT, SUPPORTED, UNSUPPORTED
from worker_images.node.lint import view
from worker_images.node.lint.finding import ERROR, WARNING, Problem, Problems, error, note, warning
from worker_images.node.lint.request import ROOT, LaunchRequest
from worker_images.node.lint.rules import hook_links
from worker_images.node.lint.rules.devices import mig_instances
from worker_images.node.lint.toolkit_hooks import PARAMETERS
from worker_images.node.lint.view import CAPABILITIES, VISIBLE

# The name that nvidia-container-runtime-hook had before.
FORMER = "nvidia-container-toolkit"
NVIDIA_PROGRAMS = ("nvidia-container-runtime-hook", "nvidia-cdi-hook", "nvidia-ctk", FORMER)
CLI = "nvidia-container-cli"
# runsc runs the hooks of these stages, and fails if one fails.
STAGES = ("prestart", "createRuntime", "createContainer")
# Those of a number of 32 bits, which runsc reads.
MOST_DIGITS = 9
STAYS = "it may stay"
WRITE = "remove the hook, and write devices and driver files into the specification"


def capabilities(request: LaunchRequest) -> Problems:
    """NVIDIA_DRIVER_CAPABILITIES requests only capabilities that nvproxy allows."""
    allowed = _names(view.options(request).get(ALLOWED, ",".join(DEFAULT)))
    if unknown := sorted({*allowed} - {*SUPPORTED, "all"}):
        yield error(
            "flags",
            f"--{ALLOWED} names {', '.join(unknown)}, which no flag can allow",
            f"use names of {', '.join(SUPPORTED)}",
        )
        return
    usable = {*allowed, *(ALL if "all" in allowed else ())}
    if request.gpus and "compute" not in usable:
        yield warning(
            "flags",
            f"--{ALLOWED} does not allow compute, which CUDA needs",
            f"--{ALLOWED}={','.join((*allowed, 'compute'))}",
        )
    requested = _names(request.environment.get(CAPABILITIES, ""))
    # With "all" runsc drops what is not allowed, and refuses only names that it does not know.
    accepted = {*SUPPORTED, *UNSUPPORTED, "all"} if "all" in requested else usable
    if refused := sorted({*requested} - accepted):
        yield _refused(request, refused, allowed)


def _refused(request: LaunchRequest, refused: list[str], allowed: list[str]) -> Problem:
    problem = f"{CAPABILITIES} requests {', '.join(refused)}, which nvproxy does not allow"
    can_be_allowed = [name for name in refused if name in SUPPORTED]
    steps = [f"--{ALLOWED}={','.join((*allowed, *can_be_allowed))} allows it"]
    if can_be_allowed != refused:
        never = ", ".join(name for name in refused if name not in SUPPORTED)
        steps = [f"remove {never}, which no flag can allow", *(steps if can_be_allowed else ())]
    if view.visible_devices(request):
        steps = [*steps, f"set it to {','.join(allowed)}"]
        return error("process.env", problem, "; or ".join(steps))
    return note(
        "process.env",
        f"{problem}; runsc reads it only with NVIDIA's hook",
        f"if programs use it: {'; '.join(steps)}",
    )


def _names(value: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


def hooks(request: LaunchRequest) -> Problems:
    """runsc can run NVIDIA's hooks; slim does not contain their programs."""
    for stage, each in (request.specification.get("hooks") or {}).items():
        first: dict[tuple[str, bool, bool], int] = {}
        for index, hook in enumerate(each or ()):
            words = hook.get("args") or ()
            first.setdefault((hook["path"], PARAMETERS in words, CLI in words), index)
        for (path, *_), index in first.items():
            # Rule F14 is for the path of any hook.
            if stage in STAGES and CLI in (each[index].get("args") or ()):
                yield (warning if request.gpus else error)(
                    f"hooks.{stage}[{index}]",
                    f"{path} runs {CLI}, which adds no GPU to a sandbox",
                    WRITE,
                )
            elif path.startswith("/") and is_nvidias(path):
                yield from _hook(request, stage, index, each[index])
    yield from hook_links.problems(request)
    if view.visible_devices(request) and request.has_erofs_root:
        yield error(
            f"annotations.{ROOT}type",
            f"runsc refuses NVIDIA's hook and {VISIBLE} with a root of EROFS",
            "remove the hook or the flag, and write devices and driver files into the"
            " specification",
        )
    elif view.visible_devices(request) and (request.host or not shutil.which(CLI)):
        yield Problem(
            WARNING if request.host else ERROR,
            "flags" if view.is_enabled(request, "nvproxy-docker") else "hooks",
            f"runsc runs {CLI} for NVIDIA's hook and {VISIBLE}; slim does not contain it",
            "remove the hook or the flag, and write devices and driver files into the"
            " specification",
        )


def is_nvidias(path: str) -> bool:
    """Report if a hook is a program of NVIDIA's toolkit."""
    return Path(path).name in NVIDIA_PROGRAMS


def _hook(request: LaunchRequest, stage: str, index: int, hook: dict[str, Any]) -> Problems:
    """Yield what runsc does with one hook of NVIDIA."""
    where, path = f"hooks.{stage}[{index}]", hook["path"]
    changes_parameters = PARAMETERS in (hook.get("args") or ())
    if stage not in STAGES:
        yield note(where, f"{path}: runsc does not need this hook to succeed", STAYS)
    elif path.endswith(view.LEGACY_HOOK):
        more = f", and runs {CLI} in its place" if view.visible_devices(request) else ""
        yield note(where, f"{path}: runsc does not run it{more}", STAYS)
    elif path.endswith(view.CDI_HOOK) and changes_parameters:
        problem = f"{path} {PARAMETERS}: runsc does not run it, and does the same"
        yield note(where, problem, STAYS)
    elif stage == "createContainer" and request.has_erofs_root:
        yield warning(where, f"{path}: runsc does not run it with a root of EROFS", WRITE)
    elif Path(path).name == FORMER and request.environment.get(VISIBLE, "") not in ("", "void"):
        yield (warning if request.gpus else error)(
            where,
            f"{path}: runsc knows the hook only as nvidia-container-runtime-hook, and runs this"
            " one, which adds no GPU to a sandbox",
            f"rename it to nvidia-container-runtime-hook; or {WRITE}",
        )
    else:
        yield from _program(request, where, path, changes_parameters=changes_parameters)


def _program(
    request: LaunchRequest, where: str, path: str, *, changes_parameters: bool
) -> Problems:
    """Yield what is wrong with a program that runsc runs."""
    if changes_parameters:
        yield error(
            where,
            f"{path} {PARAMETERS} fails in a sandbox; runsc leaves it out only under the name"
            " nvidia-cdi-hook",
            "generate the CDI specification with a newer nvidia-ctk, whose hooks are"
            " nvidia-cdi-hook",
        )
    elif request.host:
        yield warning(where, f"{path}: runsc runs it; only full contains it", WRITE)
    elif not Path(path).is_file():
        yield error(where, f"{path} does not exist; only full contains it", WRITE)
    else:
        yield note(
            where,
            f"{path}: runsc runs it; only full contains it",
            "it may stay in full; for slim, write the driver's files with their links, and"
            " LD_LIBRARY_PATH, in its place",
        )


def visible_devices(request: LaunchRequest) -> Problems:
    """Full GPUs of the node are assigned: nvproxy does not support MIG."""
    value = view.visible_devices(request)
    wrong = [
        part
        for part in (value.split(",") if value not in ("", "all", "none") else ())
        if not (part.isascii() and part.isdigit()) and not part.startswith("GPU-")
    ]
    if wrong:
        yield error(
            "process.env",
            f"{VISIBLE} names {', '.join(part or 'nothing' for part in wrong)};"
            " runsc takes only full GPUs",
            "assign full GPUs, by index or GPU-...",
        )
    elif absent := _absent_indexes(value, len(request.node.gpus)):
        yield error(
            "process.env",
            f"{VISIBLE} names {', '.join(absent)}, an index that no GPU of the node has, with which"
            f" {CLI} fails",
            f"use indexes below {len(request.node.gpus)}, or GPU-...",
        )
    instances = mig_instances(request)
    for index, device in request.devices:
        if device["path"] in instances:
            yield error(
                f"linux.devices[{index}]",
                f"{device['path']} is for an instance of MIG, which nvproxy does not support",
                "remove it; assign full GPUs",
            )


def _absent_indexes(value: str, count: int) -> list[str]:
    """Return indexes that are too high; without a device the CLI may still create them."""
    indexes = [part for part in value.split(",") if part.isdigit()]
    return [part for part in indexes if len(part) > MOST_DIGITS or int(part) >= count > 0]


def gpu_count(request: LaunchRequest) -> Problems:
    """With a hook, NVIDIA_VISIBLE_DEVICES adds no GPU to those in linux.devices."""
    value, named_in_vain = view.visible_devices(request), request.environment.get(VISIBLE)
    if not request.devices and not value and named_in_vain not in (None, "", "void", "none"):
        yield note(
            "linux.devices",
            f"no GPU; without NVIDIA's hook runsc does not act on {VISIBLE}={named_in_vain}",
            "if the container needs a GPU, add its devices and the driver's files",
        )
    named, listed = {*value.split(",")}, {*request.gpus}
    count = len(request.node.gpus) if value == "all" else len(named - {"none", ""})
    if request.gpus and count > len(listed):
        yield warning(
            "process.env",
            f"linux.devices has GPU {', '.join(request.gpus)}, but with a hook {VISIBLE}={value}"
            f" gives {count}",
            "remove the hook or the variable, or name the same GPUs in both",
        )
