"""The provenance of a release: a SLSA v1 predicate, from the plans and the lock.

docs/provenance.md describes its build type.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence

from worker_images.build import record
from worker_images.build.compilers import Toolchain, Zig
from worker_images.build.inputs import Input, Modules, Root, Text, Wheel
from worker_images.build.plan import Plan
from worker_images.fetch import gomod
from worker_images.files import text_digest
from worker_images.model.lock import lock_of
from worker_images.model.project import Project
from worker_images.release import purls
from worker_images.untrusted import shown

# Names; .invalid is a domain that never resolves (RFC 2606).
BUILD_TYPE = "https://worker-images.invalid/build/v1"
# The external parameters; whoever verifies a provenance must know all of them.
PARAMETERS = frozenset({"variant", "source", "architectures", "versions"})
# A build by ./build.py is SLSA Build L1: this builder can forge what it signs.
LOCAL_BUILDER = "https://worker-images.invalid/builder/local/v1"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# The dependency that is the checkout.
SOURCE = "source"
# The checkout that a project stands on.
CHECKOUT = "checkout"

Json = Mapping[str, object]


def predicate(
    plans: Sequence[Plan],
    project: Project,
    *,
    revision: str,
    repository: str = "",
    builder: str = LOCAL_BUILDER,
    invocation: str,
) -> dict[str, object]:
    """Return the predicate for one variant; it has one plan for each architecture.

    `revision` is that of git, with -dirty if the checkout has changes. `repository` is its
    URL without credentials, or empty.
    The predicate depends on the arguments and on the checkout's files alone.
    """
    first = plans[0]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "variant": first.variant,
                "source": first.source,
                "architectures": [each.architecture for each in plans],
                "versions": {"sha256": text_digest(project.versions.read_text())},
            },
            "internalParameters": {
                "created": first.created,
                "fileTime": first.file_time,
                "packagesResolved": list(first.resolved),
            },
            "resolvedDependencies": [
                *_checkout(project, revision, repository),
                *_dependencies(plans),
            ],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"invocationId": invocation}},
    }


def commit_of(revision: str) -> str:
    """The commit of a revision; empty if the checkout had changes, or was not of git."""
    return revision if COMMIT.fullmatch(revision) else ""


def faults(predicate: object, variant: str | None, revision: str) -> Iterator[str]:
    """How a provenance contradicts the variant and the revision of a release."""
    definition = predicate.get("buildDefinition") if isinstance(predicate, dict) else None
    outer = definition.get("externalParameters") if isinstance(definition, dict) else None
    if not isinstance(definition, dict) or not isinstance(outer, dict):
        yield "provenance: it has no buildDefinition.externalParameters"
        return
    kind = definition.get("buildType")
    if kind != BUILD_TYPE:
        yield f"provenance: unknown build type {shown(str(kind))}"
    if unknown := outer.keys() ^ PARAMETERS:
        yield f"provenance: unknown or missing parameters: {', '.join(sorted(map(shown, unknown)))}"
    if outer.get("variant") != variant:
        yield f"provenance: it is for variant {shown(str(outer.get('variant')))}"
    commits, wanted = _commits(definition.get("resolvedDependencies")), commit_of(revision)
    if commits != ([wanted] if wanted else []):
        found = ", ".join(map(shown, commits)) or "no commit"
        yield f"provenance: it names {found}; the revision of the index is {shown(revision)}"


def _commits(dependencies: object) -> list[str]:
    """The commits of the checkout that a provenance names."""
    rows = dependencies if isinstance(dependencies, list) else []
    named = [each for each in rows if isinstance(each, dict) and each.get("name") == SOURCE]
    digests = [each.get("digest") for each in named]
    return [str(each.get("gitCommit") if isinstance(each, dict) else None) for each in digests]


def _checkout(project: Project, revision: str, repository: str) -> Iterator[Json]:
    """The git revision and the lock; a checkout with changes has no digest.

    A project has its own revision, and that of the checkout below it.
    """
    if commit := commit_of(revision):
        yield _named(SOURCE, _address(repository), {"gitCommit": commit})
    if not project.stands_alone and (commit := commit_of(record.revision(project.checkout))):
        yield _named(CHECKOUT, "", {"gitCommit": commit})
    text = lock_of(project.versions).read_text()
    yield _named("versions.lock", "", {"sha256": text_digest(text)})


def _address(repository: str) -> str:
    """The address of a git repository as a URI; empty if it has none."""
    return f"git+{repository}" if repository else ""


def _dependencies(plans: Sequence[Plan]) -> list[Json]:
    """What all plans take in, each once, in order of their names and URIs."""
    found: dict[str, Json] = {}
    for plan in plans:
        for each in plan.inputs:
            for row in _of(each):
                found[f"{row.get('uri', '')} {row['name']}"] = row
    return [found[key] for key in sorted(found)]


def _of(each: Input) -> Iterator[Json]:
    """The files of an input, each with its digest."""
    if isinstance(each, Root):
        for package in each.packages:
            yield _named(f"{package.name} {package.version}", package.url, _sha256(package.sha256))
    elif isinstance(each, Toolchain):
        yield _module(each.file)
    elif isinstance(each, Modules):
        yield from map(_module, each.files)
    elif isinstance(each, Wheel | Zig):
        purl = purls.wheel(each.wheel.project, each.wheel.version).to_string()
        yield _named(each.name, purl, _sha256(each.wheel.sha256))
    elif isinstance(each, Text):
        yield _named(f"images/{each.place}", "", _sha256(each.digest))
    else:
        algorithm, _, digest = each.digest.partition(":")
        yield _named(each.name, "", {algorithm: digest})


def _module(file: gomod.File) -> Json:
    """A file of a module proxy, with the hash of go.sum as in-toto's dirHash writes it."""
    purl = purls.module(file.path, file.version).to_string()
    digest = base64.b64decode(file.sum.removeprefix("h1:")).hex()
    name = f"{file.path} {file.version}{'/go.mod' if file.mod else ''}"
    return _named(name, f"{purl}#go.mod" if file.mod else purl, {"dirHash": digest})


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest}


def _named(name: str, uri: str, digest: Mapping[str, str]) -> Json:
    return {"name": name, **({"uri": uri} if uri else {}), "digest": dict(digest)}
