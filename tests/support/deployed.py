"""The manifests of deploy/, as they are rendered, changed and checked."""

import copy
from typing import Any

import yaml

from tests.support import kustomize
from worker_images.cli import manifests as command
from worker_images.errors import DocumentError, Finding
from worker_images.files import ROOT
from worker_images.harness import manifests
from worker_images.harness.manifests import LEVEL
from worker_images.model.document import Location

DEPLOY = ROOT / "deploy"
WORKERS = ("slim", "full", "beta9")
CONTAINER: Location = (*manifests.TEMPLATE, "containers", 0)
SECURITY: Location = (*CONTAINER, "securityContext")
LABEL: Location = ("metadata", "labels", LEVEL)
DELETED = object()


def rendered(folder: str) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send."""
    return [*yaml.safe_load_all(kustomize.build(DEPLOY / folder))]


def found(text: str) -> list[Finding]:
    """The faults in manifests."""
    read = manifests.read(text, "deploy.yaml")
    assert read
    try:
        command.check(read)
    except DocumentError as error:
        return error.findings
    return []


def changed(folder: str, *changes: tuple[str, Location, object]) -> str:
    """Our own manifests, with other values at some places of the object of a kind."""
    objects = copy.deepcopy(rendered(folder))
    for kind, place, value in changes:
        parent: Any = next(each for each in objects if each["kind"] == kind)
        for part in place[:-1]:
            parent = parent[part]
        if value is DELETED:
            del parent[place[-1]]
        else:
            parent[place[-1]] = value
    return yaml.safe_dump_all(objects)
