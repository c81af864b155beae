"""What a pod requests, and which image it runs, as its object in the cluster shows it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from worker_images.model import gpus
from worker_images.model.gpus import GPU, MIG, SHARED
from worker_images.node.pod.finding import Finding
from worker_images.node.pod.objects import Object

CLASS = "nvidia"
CLASS_FILE = "deploy/base/runtime-class.yaml"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
FULL_GPUS = "assign full GPUs to these nodes: nvproxy does not support MIG"


@dataclass(frozen=True)
class Request:
    """The GPUs that a container requests: a limit of NVIDIA's device plugin, or resource claims."""

    resource: str = ""
    count: int = 0
    claims: tuple[str, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether containers share the GPU by time, and the plugin names it so."""
        return self.resource.endswith(SHARED)

    def __str__(self) -> str:
        return f"{self.resource or GPU}: {self.count}"


def request_of(container: Object) -> Request:
    """The GPUs that a container's specification requests."""
    claims = gpus.claims(container)
    for name, value in sorted(gpus.resources(container, "limits").items()):
        if int(value):
            return Request(name, int(value), claims)
    return Request(claims=claims)


def limit(request: Request, container: str) -> Finding:
    """Check that the container requests full GPUs."""
    if request.resource.startswith(MIG):
        return Finding(
            str(request),
            f"container {container} requests {request.resource}, a part of a GPU; {FULL_GPUS}",
        )
    if request.count:
        return Finding(str(request))
    if request.claims:
        return Finding(f"resource claim {', '.join(request.claims)} (DRA)")
    return Finding(
        "no limit",
        f"container {container} requests no GPU; set resources.limits: {GPU}: 1",
    )


def runtime_class(name: str, handler: str | None, driver_files: Collection[Path]) -> Finding:
    """Check that the pod's RuntimeClass adds the driver.

    `handler` is None if the class does not exist. Some clusters need no class, or have one with
    another handler: the device plugin adds the driver's files (GKE, CDI), or NVIDIA's runtime is
    the node's default.
    """
    if not name and driver_files:
        return Finding("no runtimeClassName; this cluster adds the driver's files without one")
    if not name:
        return Finding(
            "no runtimeClassName",
            "the pod has no runtimeClassName, and no driver's files; set runtimeClassName: nvidia",
        )
    if handler is None:
        return Finding(
            f"runtimeClassName {name}",
            f"RuntimeClass {name} does not exist any more: the cluster refuses new pods of this"
            f" manifest; create it: kubectl apply -f {CLASS_FILE}",
        )
    seen = f"runtimeClassName {name}, handler {handler}"
    if CLASS not in handler and not driver_files:
        return Finding(
            seen,
            f"RuntimeClass {name} has the handler {handler}, and the pod has no driver's files; use"
            f" a RuntimeClass with the handler nvidia, as in {CLASS_FILE}",
        )
    return Finding(seen)


def visible_devices(value: str | None) -> Finding:
    """Refuse MIG; devices and their number have checks of their own.

    CDI sets `void`; other values are numbers, UUIDs, or a path for lists that are mounted.
    """
    seen = "not set" if value is None else value or "empty"
    if value and "MIG-" in value:
        return Finding(seen, f"NVIDIA_VISIBLE_DEVICES={value} is a part of a GPU; {FULL_GPUS}")
    return Finding(seen)


def image(expected: Collection[str], container: Object, status: Object) -> Finding:
    """Compare the digests of the expected image with those of the container."""
    reference = container.get("image", "")
    running = status.get("imageID", "")
    found = {*DIGEST.findall(running), *DIGEST.findall(reference)}
    seen = running or reference
    if found & set(expected):
        return Finding(seen)
    return Finding(
        seen,
        f"the pod runs {reference} ({running}), but --image names {', '.join(sorted(expected))};"
        " apply the manifest with that digest, or name the image that runs",
    )
