"""Kubernetes manifests as values with positions: pods, wherever a workload has them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from worker_images.errors import DocumentError, Finding
from worker_images.model import gpus
from worker_images.model.document import Location, Mark, dotted, quoted

# Where a workload has its pod.
TEMPLATE: Location = ("spec", "template", "spec")
PODS: Mapping[str, Location] = {
    "Pod": ("spec",),
    "Deployment": TEMPLATE,
    "DaemonSet": TEMPLATE,
    "StatefulSet": TEMPLATE,
    "ReplicaSet": TEMPLATE,
    "Job": TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *TEMPLATE),
}
LEVEL = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class Manifest:
    """One object of a file, with the node of YAML that has the positions."""

    file: str
    node: yaml.Node
    value: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of object; empty without one."""
        return str(self.value.get("kind", ""))

    @property
    def name(self) -> str:
        """The object's name; empty without one."""
        return str(at(self.value, "metadata", "name") or "")

    def finding(self, place: Location, what: str, why: str, fix: str) -> Finding:
        """A fault at a place, or at its nearest ancestor that is in the file."""
        mark = _mark(self.node, place)
        key = f"{self.kind}/{self.name} {dotted(place)}"
        return Finding(self.file, *mark, key, what, why, fix)


@dataclass(frozen=True)
class Container:
    """A container of a pod."""

    place: Location
    value: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.value.get("name", ""))

    @property
    def has_gpu(self) -> bool:
        """Whether the container is to get a GPU."""
        return gpus.has_gpu(self.value)

    @property
    def has_plugin(self) -> bool:
        """Whether a device plugin is to give it one, and not a resource claim."""
        return any(gpus.resources(self.value, kind) for kind in ("limits", "requests"))

    def security(self, pod: "Pod", key: str) -> Any:  # noqa: ANN401 - a manifest may have any value
        """A setting of the container's security context, or of the pod's."""
        own = at(self.value, "securityContext", key)
        return own if own is not None else at(pod.spec, "securityContext", key)

    @property
    def added(self) -> frozenset[str]:
        """The capabilities that the container adds."""
        names = at(self.value, "securityContext", "capabilities", "add") or []
        return frozenset(str(name) for name in names)


@dataclass(frozen=True)
class Pod:
    """The pod of a manifest, and the other manifests that are applied with it."""

    manifest: Manifest
    place: Location
    spec: Mapping[str, Any]
    all: tuple[Manifest, ...]

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers, also those that run before the others."""
        return tuple(
            Container((*self.place, kind, number), value)
            for kind in ("initContainers", "containers")
            for number, value in enumerate(self.spec.get(kind) or [])
        )

    @property
    def workers(self) -> tuple[Container, ...]:
        """The containers with a GPU."""
        return tuple(each for each in self.containers if each.has_gpu)

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The pod's annotations."""
        above = map(str, self.place[:-1])
        found: Mapping[str, Any] = at(self.manifest.value, *above, "metadata", "annotations") or {}
        return found

    @property
    def namespace(self) -> Manifest | None:
        """The manifest of the pod's namespace, if it is applied with the pod."""
        name = at(self.manifest.value, "metadata", "namespace")
        found = (each for each in self.all if each.kind == "Namespace" and each.name == name)
        return next(found, None)

    def finding(self, place: Location, what: str, why: str, fix: str) -> Finding:
        """A fault at a place below the pod."""
        return self.manifest.finding((*self.place, *place), what, why, fix)


def at(value: Any, *keys: str) -> Any:  # noqa: ANN401 - a manifest may have any value
    """The value at nested keys; None where one is missing."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def read(text: str, file: str) -> tuple[Manifest, ...]:
    """The objects in a file's text; raises DocumentError for text that is not YAML."""
    try:
        nodes = [*yaml.compose_all(text, Loader=yaml.CSafeLoader)]
        values = [*yaml.load_all(text, Loader=yaml.CSafeLoader)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        cause = str(getattr(error, "problem", error))
        raise DocumentError(
            [Finding(file, line, column, "(file)", "not valid YAML", cause, "correct the line")]
        ) from error
    found = [
        Manifest(file, node, value)
        for node, value in zip(nodes, values, strict=True)
        if value and isinstance(value, dict)
    ]
    if twice := [fault for each in found for fault in _repeated(each, each.node, ())]:
        raise DocumentError(twice)
    return tuple(found)


def pods(manifests: Sequence[Manifest]) -> Iterator[Pod]:
    """The pods of all manifests that have one."""
    for each in manifests:
        place = PODS.get(each.kind)
        spec = at(each.value, *map(str, place)) if place else None
        if place and isinstance(spec, dict):
            yield Pod(each, place, spec, tuple(manifests))


def _repeated(manifest: Manifest, node: yaml.Node, place: Location) -> Iterator[Finding]:
    """Keys that occur twice in one mapping: the API server refuses them."""
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated(manifest, item, (*place, number))
    if isinstance(node, yaml.MappingNode):
        names = [str(key.value) for key, _ in node.value]
        for number, (key, value) in enumerate(node.value):
            if names[number] in names[:number]:
                mark, name = key.start_mark, dotted((*place, names[number]))
                yield Finding(
                    manifest.file, mark.line + 1, mark.column + 1, f"{manifest.kind} {name}",
                    f"{quoted(names[number])} twice", "only one of them counts", "delete one",
                )  # fmt: skip
            yield from _repeated(manifest, value, (*place, names[number]))


def _mark(node: yaml.Node, place: Location) -> Mark:
    """The position of the key or item at a place, or of the nearest one above it."""
    mark = node.start_mark
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
    return Mark(mark.line + 1, mark.column + 1)
