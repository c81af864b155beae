"""Named rules for the manifests of workers, beyond what a schema says."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from worker_images.errors import DocumentError, Finding
from worker_images.harness import pod_security
from worker_images.harness.manifests import Container, Manifest, Pod, at, pods
from worker_images.model import gpus
from worker_images.model.document import quoted
from worker_images.model.drivers.fleet import LABEL
from worker_images.model.gpus import GPU, MIG

DIGEST = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")
SERVED = {"compute", "utility"}
NO_GPU = {"void", "none"}
# The annotation of pods in clusters that add the driver's files without a class.
NO_CLASS = "worker-images/runtime-class"
# What replaces its pods when its manifest changes.
UPDATED = {"Deployment", "DaemonSet", "StatefulSet"}
NO_SURGE = (0, "0%")


def _limit(pod: Pod) -> Iterator[Finding]:
    """A container that requests GPUs has the same limit, a number of full ones."""
    for each in pod.workers:
        limits, requests = (gpus.resources(each.value, kind) for kind in ("limits", "requests"))
        for name in {**limits, **requests}:
            yield from _number(pod, each, name, limits.get(name), requests.get(name))


def _number(
    pod: Pod, container: Container, name: str, limit: object, request: object
) -> Iterator[Finding]:
    """The faults of a container's limit and request of one resource."""
    place, whole = (*container.place, "resources"), "Kubernetes does not overcommit GPUs"
    if name.startswith(MIG):
        kind = "requests" if limit is None else "limits"
        fix = f"assign full GPUs to the nodes, and use {GPU}"
        yield pod.manifest.finding(
            (*place, kind, name), "a part of a GPU", "nvproxy does not support MIG", fix
        )
    elif limit is None:
        fix = f"set limits: {name}: {request}"
        yield pod.manifest.finding(
            (*place, "requests", name), "a request without a limit", whole, fix
        )
    elif not re.fullmatch("[1-9][0-9]*", str(limit)):
        what, why = f"{quoted(limit)} is not a number of GPUs", "a container gets whole GPUs"
        yield pod.manifest.finding((*place, "limits", name), what, why, "use 1 or more")
    elif request is not None and str(request) != str(limit):
        what = f"{request}, but the limit is {limit}"
        yield pod.manifest.finding((*place, "requests", name), what, whole, "delete the request")


def _runtime_class(pod: Pod) -> Iterator[Finding]:
    """A pod with a GPU has a RuntimeClass, which one of the manifests defines.

    Drivers of resource claims (DRA) and some device plugins, such as GKE's, add the driver's files
    themselves.
    """
    name = pod.spec.get("runtimeClassName")
    place, handlers = ("runtimeClassName",), _classes(pod.all)
    if not name:
        plugin = any(each.has_plugin for each in pod.workers)
        if plugin and pod.annotations.get(NO_CLASS) != "none":
            why = "the device plugin gives devices, and the class adds the driver's files"
            fix = "set runtimeClassName: nvidia, or use deploy/components/no-runtime-class"
            yield pod.finding(place, "missing", why, fix)
    elif name not in handlers:
        close = difflib.get_close_matches(str(name), handlers, n=1)
        fix = f"did you mean {close[0]}?" if close else "add a RuntimeClass to the kustomization"
        what = f"RuntimeClass {quoted(name)} is not defined"
        yield pod.finding(place, what, "the API server refuses the pod", fix)
    elif not pod.workers and handlers[str(name)] == "nvidia":
        why = "without a limit the pod gets no GPU, or every GPU of the node"
        fix = f"set limits: {GPU}: 1"
        yield pod.finding(place, "the class without a limit", why, fix)


def _classes(manifests: Sequence[Manifest]) -> Mapping[str, str]:
    """The handlers of RuntimeClasses by name."""
    found = (each for each in manifests if each.kind == "RuntimeClass")
    return {each.name: str(each.value.get("handler")) for each in found}


def _image(pod: Pod) -> Iterator[Finding]:
    """Every image is named by digest."""
    for each in pod.containers:
        image = each.value.get("image")
        if not DIGEST.fullmatch(str(image)):
            yield pod.manifest.finding(
                (*each.place, "image"),
                f"{quoted(image)} has no digest",
                "a tag can move to an image that was not tested",
                "use REGISTRY/NAME@sha256:DIGEST: kustomize edit set image",
            )


def _drivers(pod: Pod) -> Iterator[Finding]:
    """A pod with a GPU requires a driver that its image serves, by the node's label."""
    terms = at(
        pod.spec,
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    required = terms and all(
        any(
            (rule.get("key"), rule.get("operator")) == (LABEL, "In") and rule.get("values")
            for rule in term.get("matchExpressions") or []
        )
        for term in terms
    )
    if pod.workers and not required:
        why = f"the pod may start on a node whose driver runsc refuses: no rule for {LABEL}"
        fix = "add the patch deploy/base/drivers.yaml"
        yield pod.finding(("affinity",), "no node affinity on the driver", why, fix)


def _environment(pod: Pod) -> Iterator[Finding]:
    """The variables of NVIDIA's runtime request only what nvproxy serves."""
    for each in pod.workers:
        for number, variable in enumerate(each.value.get("env") or []):
            name, value = str(variable.get("name")), str(variable.get("value", ""))
            place = (*each.place, "env", number)
            if name == "NVIDIA_VISIBLE_DEVICES":
                why = "the device plugin sets it; another value can expose every GPU of the node"
                yield pod.manifest.finding(place, f"sets {name}", why, "delete it")
            if name == "NVIDIA_DRIVER_CAPABILITIES" and not {*value.split(",")} <= SERVED:
                why = "nvproxy refuses the others"
                yield pod.manifest.finding(
                    (*place, "value"), quoted(value), why, "use compute,utility"
                )


def _without_gpu(pod: Pod) -> Iterator[Finding]:
    """Under NVIDIA's runtime, a container without a limit gets the GPUs of its variable."""
    for each in pod.containers:
        if each in pod.workers:
            continue
        for number, variable in enumerate(each.value.get("env") or []):
            value = str(variable.get("value", ""))
            if variable.get("name") == "NVIDIA_VISIBLE_DEVICES" and value not in NO_GPU:
                place = (*each.place, "env", number, "value")
                why = "the container has no limit nvidia.com/gpu, and the runtime adds these GPUs"
                yield pod.manifest.finding(place, quoted(value), why, "set it to void")


def _updates(pod: Pod) -> Iterator[Finding]:
    """A worker has probes, and an update replaces it without a second GPU."""
    if pod.manifest.kind not in UPDATED:
        return
    for each in pod.workers:
        for probe in ("startupProbe", "readinessProbe"):
            if not each.value.get(probe):
                why = "an update would go on although no sandbox starts"
                fix = "add it, as in deploy/base/worker.yaml"
                yield pod.manifest.finding((*each.place, probe), "missing", why, fix)
    strategy = at(pod.manifest.value, "spec", "strategy") or {}
    surge = at(strategy, "rollingUpdate", "maxSurge")
    has_surge = strategy.get("type") != "Recreate" and surge not in NO_SURGE
    if pod.workers and pod.manifest.kind == "Deployment" and has_surge:
        place = ("spec", "strategy", "rollingUpdate", "maxSurge")
        why = "a new pod stays Pending until an old one frees its GPU"
        yield pod.manifest.finding(place, "not 0", why, "set maxSurge: 0, maxUnavailable: 1")


Rule = Callable[[Pod], Iterator[Finding]]
RULES: Mapping[str, Rule] = {
    "limit": _limit,
    "class": _runtime_class,
    "image": _image,
    "privileges": pod_security.privileges,
    "profiles": pod_security.profiles,
    "namespace": pod_security.namespace,
    "host": pod_security.host,
    "drivers": _drivers,
    "environment": _environment,
    "visible devices": _without_gpu,
    "updates": _updates,
}


def check(manifests: Sequence[Manifest]) -> None:
    """Check manifests that are applied together; raises DocumentError with every fault."""
    found = [fault for pod in pods(manifests) for rule in RULES.values() for fault in rule(pod)]
    if found:
        raise DocumentError(found)
