"""Run test layers: build the images that a layer needs, then run its tests as a process."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker_images.build import pipeline
from worker_images.build.jobs import Request
from worker_images.build.tars import Progress
from worker_images.engine.buildx import ended
from worker_images.errors import EngineError, FailedTestsError, UsageError
from worker_images.model import results
from worker_images.model.layers import LAYERS, Layer
from worker_images.model.project import Project

# Options of pytest-xdist: one process per core.
PARALLEL = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")
# Variables of make and of the environment that name a pod, and their options of pytest.
POD_VARIABLES = ("CONTEXT", "NAMESPACE", "POD", "CONTAINER", "IMAGE", "KUBECTL")
COMMON = tuple(layer.name for layer in LAYERS if layer.common)
OF_PROJECTS = tuple(layer.name for layer in LAYERS if layer.of_projects)


def run(
    project: Project, names: Sequence[str], progress: Progress, variants: tuple[str, ...] = ()
) -> None:
    """Run test layers in order; layers that need every variant use the chosen variants.

    Raises UsageError for an unknown layer, FailedTestsError with the layers that failed, and the
    errors of a build.
    """
    known = {layer.name: layer for layer in LAYERS}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"{', '.join(unknown)}: no such test layer; known layers: {', '.join(known)}"
        )
    chosen = variants or project.catalog.buildable
    layers = [known[layer_of(name, os.environ)] for name in names]
    if other := [] if project.stands_alone else [each for each in layers if not each.of_projects]:
        raise UsageError(
            f"{', '.join(each.name for each in other)}: these test layers test the checkout, not a"
            f" project; run them there, or name others: {', '.join(OF_PROJECTS)}"
        )
    failed = [layer.name for layer in layers if not _passes(project, layer, chosen, progress)]
    if failed:
        raise FailedTestsError(f"failed test layers: {', '.join(failed)}")


def _passes(project: Project, layer: Layer, chosen: tuple[str, ...], progress: Progress) -> bool:
    progress(f"test layer {layer.name}")
    is_image = layer.name == "image"
    if variants := chosen if layer.images == "all" else tuple(filter(None, [layer.images])):
        requests = [Request(name, retest=is_image) for name in variants]
        try:
            pipeline.run(requests, project, progress)
        except FailedTestsError as error:
            progress(str(error))
            return False
    if is_image:
        return True
    if layer.name == "workload":
        commands = [_workload(project, variant) for variant in variants]
        passed = [_run(project.checkout, command) for command in commands]
        return all(passed)
    run_layer = _pod if layer.name == "pod" else _run
    return run_layer(project.checkout, _command(project, layer)) and not _unexplained(
        project.root / layer.file, progress
    )


def _run(root: Path, command: list[str]) -> bool:
    return _status(root, command) == 0


def _status(root: Path, command: list[str]) -> int:
    """Run tests. Ctrl-C reaches them once, through this process, and they remove what they made."""
    process = subprocess.Popen(command, cwd=root, start_new_session=True)
    with process, ended(process, signal.SIGINT):
        return process.wait()


def _pod(root: Path, command: list[str]) -> bool:
    """Whether the checks of a pod passed; raises EngineError."""
    options = _pod_options(os.environ)
    status = _status(root, [*command, *options])
    if status == EngineError.exit_code:
        raise EngineError("the checks of the pod did not end; the error is above")
    return status == 0


def layer_of(name: str, environment: Mapping[str, str]) -> str:
    """Return the layer that runs: without a context, `pod` is that of this machine's cluster.

    Raises UsageError for a pod without a context.
    """
    if name != "pod" or environment.get("CONTEXT"):
        return name
    if environment.get("POD"):
        raise UsageError(
            "POD without CONTEXT: make test-pod would use the cluster of this machine; set CONTEXT;"
            " list the contexts: kubectl config get-contexts"
        )
    return "cluster"


def _pod_options(environment: Mapping[str, str]) -> list[str]:
    return [
        f"--{name.lower()}={environment[name]}" for name in POD_VARIABLES if environment.get(name)
    ]


def _unexplained(report: Path, progress: Progress) -> bool:
    """Whether a test was skipped without a reason of the machine; such a skip is not a pass."""
    checks = results.read(report).with_outcome(results.NOT_RUN)
    found = [check for check in checks if check.result.reason.startswith(results.UNEXPLAINED)]
    for check in found:
        progress(f"{check.identity}: {check.result.reason}")
    return bool(found)


def default(project: Project) -> tuple[str, ...]:
    """Return the layers that run unless others are named."""
    return tuple(name for name in COMMON if project.stands_alone or name in OF_PROJECTS)


def _workload(project: Project, variant: str) -> list[str]:
    python = str(project.checkout / ".venv/bin/python")
    options = [] if project.stands_alone else ["--project", str(project.root)]
    return [python, "-m", "worker_images.node", "workload", "--variant", variant, *options]


def _command(project: Project, layer: Layer) -> list[str]:
    python = str(project.checkout / ".venv/bin/python")
    report = project.root / layer.file
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    parallel = PARALLEL if layer.parallel else ()
    return [
        python,
        "-m",
        "pytest",
        "-q",
        *parallel,
        "--junit-xml",
        str(report),
        *([] if project.stands_alone else ["--project", str(project.root)]),
        f"tests/{layer.name}",
    ]
