"""The GPUs that a container of Kubernetes requests."""

import re
from collections.abc import Mapping
from typing import Any

GPU = "nvidia.com/gpu"
# NVIDIA's device plugin names parts of a GPU by their profile, and may name shares so.
MIG, SHARED = "nvidia.com/mig-", ".shared"
RESOURCE = re.compile(r"nvidia\.com/(?:gpu|mig-[^/]+?)(?:\.shared)?")


def resources(container: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The GPUs in a container's `limits` or `requests`, by resource."""
    found = (container.get("resources") or {}).get(kind) or {}
    return {name: count for name, count in found.items() if RESOURCE.fullmatch(str(name))}


def claims(container: Mapping[str, Any]) -> tuple[str, ...]:
    """The resource claims (DRA) of a container."""
    found = (container.get("resources") or {}).get("claims") or []
    return tuple(str(each["name"]) for each in found)


def has_gpu(container: Mapping[str, Any]) -> bool:
    """Whether a container requests GPUs, in whichever way."""
    kinds = (resources(container, kind) for kind in ("limits", "requests"))
    return any(kinds) or bool(claims(container))
