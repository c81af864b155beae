"""What a user's program in a sandbox must have seen, for the checklist's workload rows."""

import re
from collections.abc import Callable

from worker_images.node.node import CONTROL, CONTROL_MINOR, FRONTEND_MAJOR
from worker_images.node.place import Answer
from worker_images.node.spec import LIBRARIES
from worker_images.node.verify.rows import (
    FAILED,
    NOT_RUN,
    PASSED,
    Finding,
    Scene,
    explained,
    last_line,
)
from worker_images.node.verify.trial import Trial

# 512 ones in each of 512 times 512 sums.
SUM = 134217728.0
UNANSWERED = re.compile(r"nvproxy: (?:handler is undefined|unknown) .*")
NO_GPU_NODE = "the node itself does not run CUDA: the node or its driver is at fault, not gVisor"


def of(
    *names: str, native: bool = False
) -> Callable[[Callable[[Trial], Finding]], Callable[[Scene, Answer], Finding]]:
    """Judge a trial in which these facts are there, with `native` on the node too.

    Without one, say why.
    """

    def wrapped(judge: Callable[[Trial], Finding]) -> Callable[[Scene, Answer], Finding]:
        def judged(scene: Scene, _: Answer) -> Finding:
            trial = scene.trial
            if trial is None:
                return Finding(NOT_RUN, "nothing", "no program was run", "--node")
            for name in names:
                if native and "value" not in trial.native[name]:
                    return _absent(
                        trial.native[name]["error"], NO_GPU_NODE, "mend the node first: nvidia-smi"
                    )
                if "value" not in trial.inside[name]:
                    error = trial.inside[name]["error"]
                    return _absent(error, *explained(f"{trial.outcome.everything}\n{error}", scene))
            return judge(trial)

        return judged

    return wrapped


def _absent(error: str, words: str, step: str) -> Finding:
    if "ModuleNotFoundError" in error:
        return Finding(
            NOT_RUN,
            error,
            "the user's python has no torch",
            "name one that has it: --python PYTHON",
        )
    return Finding(FAILED, error, words, step)


@of("kernel", "torch")
def torch(trial: Trial) -> Finding:
    """A product of matrices, by every GPU's count, in gVisor."""
    found = trial.inside["torch"]["value"]
    seen = (
        f"available {found['available']}, {found['count']} of {found['name']}, sum {found['sum']}"
    )
    if (found["available"], found["count"], found["sum"]) != (True, len(trial.node.gpus), SUM):
        return Finding(
            FAILED,
            seen,
            f"{len(trial.node.gpus)} GPUs and the sum {SUM} are due",
            "python3 -m worker_images.node workload, for the controls",
        )
    if "gvisor" not in trial.inside["kernel"]["value"]["version"]:
        return Finding(
            FAILED,
            trial.inside["kernel"]["value"]["version"].strip(),
            "the kernel is not gVisor's",
            "run it by the image's runsc",
        )
    return Finding(PASSED, f"{seen}, in gVisor")


@of("loader", "loaded")
def libcuda(trial: Trial) -> Finding:
    """The loader's cache and a program agree: the driver's own file."""
    due = f"{LIBRARIES}/libcuda.so.{trial.node.driver}"
    loader, loaded = trial.inside["loader"]["value"], trial.inside["loaded"]["value"]
    seen = (
        f"libcuda.so.1 is {loaded}; in the cache"
        f" {', '.join(sorted(set(loader.values()))) or 'none'}"
    )
    if loaded != due or due not in loader.values():
        words = (
            "a program gets another libcuda than the driver's: from compat, stubs or the user's"
            " image"
        )
        return Finding(
            FAILED,
            seen,
            words,
            f"{LIBRARIES} first in LD_LIBRARY_PATH; remove cuda-compat from the user's image",
        )
    return Finding(PASSED, seen)


@of("note", native=True)
def same_output(trial: Trial) -> Finding:
    """The same on both sides, and CUDA."""
    found, native = trial.inside["note"]["value"], trial.native["note"]["value"]
    if "ModuleNotFoundError" in found["errors"]:
        return _absent(last_line(found["errors"]), "", "")
    seen = "; ".join(found["output"].splitlines()) or last_line(found["errors"])
    if (
        found["status"]
        or found["output"] != native["output"]
        or not found["output"].startswith("CUDA: True")
    ):
        said = "; ".join(native["output"].splitlines()) or last_line(native["errors"])
        return Finding(
            FAILED,
            seen,
            f"on the node it said: {said}",
            "see the rows above, which say which part fails",
        )
    return Finding(PASSED, seen)


@of("driver", native=True)
def added(trial: Trial) -> Finding:
    """A kernel ran, on the node and in the sandbox, on the same GPU."""
    native, inside = trial.native["driver"]["value"], trial.inside["driver"]["value"]
    seen = f"{inside['count']} of {inside['name']}, {inside['uuid']}"
    if not native["added"]:
        return Finding(FAILED, "a wrong sum on the node", NO_GPU_NODE, "nvidia-smi -q on the node")
    if not inside["added"] or inside["uuid"] != native["uuid"]:
        return Finding(
            FAILED,
            seen,
            "the sandbox's sum or GPU is not the node's",
            "python3 -m worker_images.node workload, for the controls",
        )
    return Finding(PASSED, f"{seen}: right sums")


@of()
def named(trial: Trial) -> Finding:
    """nvproxy was on, with this driver's ABI, whatever the flags were."""
    version = re.escape(trial.node.driver)
    found = re.search(
        rf"--nvidia-driver-version={version}|NVIDIA driver version:? {version}", trial.outcome.log
    )
    if not found:
        return Finding(
            FAILED,
            "no line of it",
            f"the sandbox did not take nvproxy with {trial.node.driver}",
            "run it with --nvproxy",
        )
    return Finding(PASSED, found[0])


@of("kernel", "devices")
def active(trial: Trial) -> Finding:
    """gVisor's kernel, with the devices that nvproxy serves and no other."""
    found = trial.inside["devices"]["value"]
    version = trial.inside["kernel"]["value"]["version"].strip()
    due = {device.name for device in trial.node.devices}
    seen = f"{', '.join(sorted(found))}; {version}"
    if (
        "gvisor" not in version
        or set(found) != due
        or found[CONTROL] != [FRONTEND_MAJOR, CONTROL_MINOR]
    ):
        return Finding(
            FAILED,
            seen,
            f"in gVisor's kernel {', '.join(sorted(due))} are due",
            "write the specification: python3 -m worker_images.node bundle",
        )
    return Finding(PASSED, seen)


@of("driver")
def answered(trial: Trial) -> Finding:
    """A call of the driver that nvproxy does not know shows in the log alone."""
    lines = sorted(set(UNANSWERED.findall(trial.outcome.log)))
    if lines:
        return Finding(
            FAILED,
            f"{len(lines)} kinds, the first: {lines[0]}",
            "a program needs what this nvproxy does not serve",
            "take a newer gvisor.version",
        )
    return Finding(PASSED, "none")
