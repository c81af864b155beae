"""The schema of Kubernetes' objects, from a wheel of PyPI that has one for each version."""

import functools
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from worker_images.errors import Finding
from worker_images.fetch.store import Store
from worker_images.harness.manifests import Manifest
from worker_images.model.lock import Wheel

# Unpacked it has 87 MB in 13,674 files, so it is read as it is.
WHEEL = Wheel(
    "kubernetes-validate",
    "1.35.0",
    "any",
    "768909f0cea1c7d77761c8fdea028c6aa553151dafeae099c453742ad3324b43",
    18060252,
)
FILE = "kubernetes_validate/kubernetes-json-schema/v1.35.0-local-strict/_definitions.json"


@functools.cache
def _definitions() -> Mapping[str, Any]:
    with zipfile.ZipFile(Store().wheel(WHEEL)) as wheel:
        found: Mapping[str, Any] = json.loads(wheel.read(FILE))["$defs"]
    return found


@functools.cache
def _names() -> Mapping[str, str]:
    """The definition of each kind of object, by its version and kind."""
    found = {}
    for name, definition in _definitions().items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = f"{kind['group']}/" if kind["group"] else ""
            found[f"{group}{kind['version']} {kind['kind']}"] = name
    return found


def faults(manifest: Manifest) -> Iterator[Finding]:
    """What the API server would refuse while it reads an object: unknown fields, wrong types."""
    version = str(manifest.value.get("apiVersion", ""))
    name = _names().get(f"{version} {manifest.kind}")
    if not name:
        why = "Kubernetes 1.35 has no such kind"
        yield manifest.finding(("apiVersion",), f"{version} {manifest.kind}", why, "correct it")
        return
    schema = {"$ref": f"#/$defs/{name}", "$defs": _definitions()}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest.value):
        why = "the schema of Kubernetes 1.35 does not allow it"
        place = tuple(error.absolute_path)
        yield manifest.finding(place, error.message, why, "correct the field")
