"""What a manifest names, read within bounds: nothing is trusted before its signature is checked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from worker_images.errors import PolicyError
from worker_images.model.oci import inflate
from worker_images.release import layout
from worker_images.release.layout import Object

# The limit of oras, and of registries.
MAX_MANIFEST_BYTES = 4 << 20
# An index, and a manifest for each platform.
MAX_DEPTH = 3
# A release has two, and two for each platform.
MAX_REFERRERS = 200


@dataclass(frozen=True)
class Bounds:
    """The most manifests and blobs that are read, and the bytes of all blobs."""

    manifests: int
    blobs: int
    size: int


IMAGES = Bounds(manifests=64, blobs=1000, size=inflate.MAX_BYTES)
# The largest bundle, which has the SBOM of full, has 0.32 MB.
BUNDLE = Bounds(manifests=1, blobs=8, size=4 << 20)


@dataclass(frozen=True)
class Tree:
    """A manifest with all that it names, by digest: bytes of manifests, and sizes of blobs."""

    root: str
    subject: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def walk(fetch: Callable[[str], bytes], root: str, bounds: Bounds, subject: str = "") -> Tree:
    """Read a manifest and those that it names, each once, up to the first bound.

    `subject` is known: it is not read again. `fetch` raises PolicyError for a manifest that is not
    readable, which is a fault of the tree.
    """
    tree = Tree(root, subject)
    waiting, seen = [(root, 1)], {subject}
    while waiting:
        digest, depth = waiting.pop(0)
        if digest in seen:
            continue
        seen.add(digest)
        try:
            data = fetch(digest)
            found = read(data, digest)
        except PolicyError as error:
            tree.faults.append(str(error))
            continue
        tree.manifests[digest] = data
        for name, size in _blobs(found):
            tree.blobs[name] = max(size, tree.blobs.get(name, 0))
        inner = [each for each in children(found) if each not in seen]
        waiting += [(each, depth + 1) for each in inner]
        if fault := _exceeded(tree, bounds, depth + bool(inner), len({*seen, *inner}) - 1):
            tree.faults.append(f"manifest {root}: {fault}")
            # Nothing of it is copied or looked up.
            tree.blobs.clear()
            break
    return tree


def read(data: bytes, digest: str) -> Object:
    """The manifest with a digest; raises PolicyError."""
    if layout.digest_of(data) != digest:
        raise PolicyError(f"manifest {digest}: its bytes do not match its digest")
    return layout.parse(data, f"manifest {digest}")


def children(found: Object) -> list[str]:
    """The digests of the manifests that a manifest names."""
    inner = [each["digest"] for each in found.get("manifests", ())]
    return [*inner, found["subject"]["digest"]] if "subject" in found else inner


def _blobs(found: Object) -> Iterator[tuple[str, int]]:
    named = [*found.get("layers", ()), *found.get("blobs", ())]
    for each in [*named, found["config"]] if "config" in found else named:
        yield each["digest"], each["size"]


def _exceeded(tree: Tree, bounds: Bounds, depth: int, manifests: int) -> str:
    """The bound that a tree exceeds; empty if none."""
    size = sum(tree.blobs.values())
    if depth > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels"
    if manifests > bounds.manifests:
        return f"it names more than {bounds.manifests} manifests"
    if len(tree.blobs) > bounds.blobs:
        return f"it names more than {bounds.blobs} blobs"
    if size > bounds.size:
        return f"its blobs have {size} bytes, more than {bounds.size}"
    return ""
