"""The objects of a cluster, as kubectl prints them."""

from typing import Any

Object = dict[str, Any]


def container_of(found: Object, name: str) -> Object:
    """The specification of a container."""
    return next(each for each in found["spec"]["containers"] if each["name"] == name)


def status_of(found: Object, name: str) -> Object:
    """The status of a container; empty before it starts."""
    statuses = found.get("status", {}).get("containerStatuses", [])
    return next((each for each in statuses if each["name"] == name), {})
