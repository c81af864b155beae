"""The command `build.py manifests`: the schema of Kubernetes, and the rules for workers."""

import functools
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.errors import DocumentError, Finding, UsageError
from worker_images.fetch.store import Store
from worker_images.harness import manifest_rules
from worker_images.harness.manifests import Manifest, read
from worker_images.model.lock import Wheel

KUBERNETES = "1.35"
# It has a schema for each version of Kubernetes. Unpacked it is 87 MB, so it is read as it is.
WHEEL = Wheel(
    "kubernetes-validate",
    "1.35.0",
    "any",
    "768909f0cea1c7d77761c8fdea028c6aa553151dafeae099c453742ad3324b43",
    18060252,
)
SCHEMA = "kubernetes_validate/kubernetes-json-schema/v1.35.0-local-strict/_definitions.json"
EXAMPLES = """\
examples:
  kubectl kustomize deploy/slim | ./build.py manifests -      check what would be applied
  ./build.py manifests worker.yaml runtime-class.yaml         check files that are applied together

exit codes: 0 ok, 2 usage or a wrong manifest, 3 the schema cannot be fetched
"""


def command(argv: list[str], _root: Path, _: Progress) -> str:
    """Check manifests that are applied together; raises DocumentError with every fault."""
    parser = parsers.of_command(
        "manifests",
        f"Check manifests of workers against the schema of Kubernetes {KUBERNETES}, and against\n"
        "rules for GPUs, images, privileges, Pod Security and updates. Needs no cluster.",
        EXAMPLES,
    )
    parser.add_argument("files", nargs="+", metavar="FILE|-", help="manifests, or standard input")
    files = parser.parse_args(argv).files
    found = [manifest for name in files for manifest in read(_text(name), name)]
    if not found:
        raise UsageError(f"manifests: {', '.join(files)}: no object; name a file with manifests")
    check(found)
    noun = "object is" if len(found) == 1 else "objects are"
    return f"{len(found)} {noun} valid"


def check(manifests: Sequence[Manifest]) -> None:
    """Check manifests; raises DocumentError with every fault.

    The rules are applied to manifests that fit the schema.
    """
    if found := [fault for each in manifests for fault in faults(each)]:
        raise DocumentError(found)
    manifest_rules.check(manifests)


def faults(manifest: Manifest) -> Iterator[Finding]:
    """What the API server refuses when it reads an object: unknown fields and wrong types."""
    version = str(manifest.value.get("apiVersion", ""))
    name = _names().get(f"{version} {manifest.kind}")
    if not name:
        why = f"Kubernetes {KUBERNETES} has no such kind"
        yield manifest.finding(("apiVersion",), f"{version} {manifest.kind}", why, "correct it")
        return
    schema = {"$ref": f"#/$defs/{name}", "$defs": _definitions()}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest.value):
        why = f"the schema of Kubernetes {KUBERNETES} does not allow it"
        place = tuple(error.absolute_path)
        yield manifest.finding(place, error.message, why, "correct the field")


@functools.cache
def _definitions() -> Mapping[str, Any]:
    with zipfile.ZipFile(Store().wheel(WHEEL)) as wheel:
        found: Mapping[str, Any] = json.loads(wheel.read(SCHEMA))["$defs"]
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


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read() if sys.stdin else ""
    try:
        return Path(name).read_text()
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", "") or "not text"
        step = "name a file with manifests, or - for standard input"
        raise UsageError(f"manifests: {name}: {cause}; {step}") from None
