"""What a pod requests: clusters with CDI, GKE and shared GPUs pass, and MIG does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker_images.node.pod import request
from worker_images.node.pod.request import Request

FILES = (Path("/usr/local/nvidia/lib64/libcuda.so.580.159.04"),)
DIGEST, OTHER = f"sha256:{64 * '1'}", f"sha256:{64 * '2'}"


def container(**resources: object) -> dict[str, Any]:
    return {"name": "worker", "resources": resources}


@pytest.mark.parametrize(
    ("resources", "seen", "problem"),
    [
        ({"limits": {"nvidia.com/gpu": "1"}}, "nvidia.com/gpu: 1", ""),
        ({"limits": {"nvidia.com/gpu.shared": "1"}}, "nvidia.com/gpu.shared: 1", ""),
        ({"claims": [{"name": "gpu"}]}, "resource claim gpu (DRA)", ""),
        ({}, "no limit", "container worker requests no GPU; set resources.limits"),
        ({"limits": {"nvidia.com/gpu": "0"}}, "no limit", "container worker requests no GPU"),
        ({"limits": {"memory": "1Gi"}}, "no limit", "container worker requests no GPU"),
        ({"limits": {"nvidia.com/hostdev": "1"}}, "no limit", "container worker requests no GPU"),
        (
            {"limits": {"nvidia.com/mig-1g.10gb": "1"}},
            "nvidia.com/mig-1g.10gb: 1",
            "container worker requests nvidia.com/mig-1g.10gb, a part of a GPU",
        ),
    ],
)
def test_limit_names_full_gpus(resources: dict[str, object], seen: str, problem: str) -> None:
    found = request.limit(request.request_of(container(**resources)), "worker")
    assert found.seen == seen
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)


def test_shared_gpu_is_one_of_the_plugin() -> None:
    limits = {"nvidia.com/gpu.shared": "2"}
    assert request.request_of(container(limits=limits)) == Request("nvidia.com/gpu.shared", 2)


@pytest.mark.parametrize(
    ("name", "handler", "files", "problem"),
    [
        ("nvidia", "nvidia", (), ""),
        ("gpu", "nvidia-cdi", (), ""),
        ("", None, FILES, ""),
        ("", None, (), "the pod has no runtimeClassName, and no driver's files; set runtimeClass"),
        ("nvidia", None, FILES, "RuntimeClass nvidia does not exist any more"),
        ("nvidia", "runc", (), "RuntimeClass nvidia has the handler runc, and the pod has no"),
        ("gpu", "runc", FILES, ""),
    ],
)
def test_runtime_class_adds_the_driver(
    name: str, handler: str | None, files: tuple[Path, ...], problem: str
) -> None:
    found = request.runtime_class(name, handler, files).problem
    assert found.startswith(problem)
    assert bool(found) == bool(problem)
    assert ("deploy/base/runtime-class.yaml" in found) == (bool(name) and bool(problem))


@pytest.mark.parametrize("value", [None, "", "void", "all", "0,1", "GPU-1234", "/var/run/nvidia"])
def test_visible_devices_are_information(value: str | None) -> None:
    assert request.visible_devices(value).problem == ""


def test_visible_devices_of_mig_fail() -> None:
    found = request.visible_devices("MIG-7").problem
    assert found.startswith("NVIDIA_VISIBLE_DEVICES=MIG-7 is a part of a GPU; assign full GPUs")


@pytest.mark.parametrize("name", ["50-pod-void", "52-pod-shared"])
def test_reported_pod_passes(name: str) -> None:
    """Pods that users reported: CDI sets void, and time-slicing renames the resource."""
    reported = json.loads((Path(__file__).parent / "reported" / f"{name}.json").read_text())
    (found,) = reported["pod"]["spec"]["containers"]
    assert request.limit(request.request_of(found), "worker").problem == ""
    value = reported["environment"]["NVIDIA_VISIBLE_DEVICES"]
    assert request.visible_devices(value).problem == ""
    handler = reported["runtimeclass"]["handler"]
    assert request.runtime_class("nvidia", handler, ()).problem == ""


@pytest.mark.parametrize(
    ("reference", "running", "passes"),
    [
        (f"registry.example/worker@{DIGEST}", f"registry.example/worker@{DIGEST}", True),
        ("worker:slim", f"docker-pullable://worker@{DIGEST}", True),
        ("worker:slim", DIGEST, True),
        (f"registry.example/worker@{DIGEST}", OTHER, True),
        ("worker:slim", OTHER, False),
        ("worker:slim", "", False),
    ],
)
def test_image_is_compared_by_digest(reference: str, running: str, passes: bool) -> None:
    found = request.image({DIGEST}, {"image": reference}, {"imageID": running})
    assert (found.problem == "") is passes
    assert passes or found.problem.startswith(f"the pod runs {reference} ({running}), but --image")
