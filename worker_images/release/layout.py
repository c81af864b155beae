"""OCI layouts: a folder with the images of a release, their index and the attached bundles.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md.
"""

import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from worker_images.errors import PolicyError
from worker_images.fetch.apt import sha256
from worker_images.files import atomic_path
from worker_images.model.oci.files import BLOBS, open_archive
from worker_images.model.oci.image import ImageError
from worker_images.model.oci.manifest import OCI
from worker_images.model.oci.names import member
from worker_images.release.cosign import BUNDLE
from worker_images.release.names import DIGEST
from worker_images.release.registry import Repository, as_json
from worker_images.release.tools import Tools
from worker_images.untrusted import MAX_JSON_BYTES, UntrustedError, parse_json, shown

INDEX, MANIFEST = f"{OCI}index.v1+json", f"{OCI}manifest.v1+json"
# What a manifest without a configuration has instead.
EMPTY, EMPTY_TYPE = b"{}", "application/vnd.oci.empty.v1+json"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
# The annotations by which cosign finds a bundle.
CONTENT, KIND = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"

ANNOTATION = "org.opencontainers.image."
NAME = f"{ANNOTATION}ref.name"

Object = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A tested archive that may be released.

    `digest` and `size` are those of its manifest; `image_id` is the digest of its configuration.
    """

    variant: str
    architecture: str
    archive: Path
    digest: str
    size: int
    image_id: str

    @property
    def descriptor(self) -> Object:
        """The entry of an index."""
        platform = {"architecture": self.architecture, "os": "linux"}
        return {**descriptor(MANIFEST, self.digest, self.size), "platform": platform}


def descriptor(kind: str, digest: str, size: int) -> Object:
    """The reference to a blob."""
    return {"mediaType": kind, "digest": digest, "size": size}


def digest_of(data: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def index_of(candidates: Sequence[Candidate], annotations: Mapping[str, str]) -> bytes:
    """The index of one variant's images, by architecture."""
    ordered = sorted(candidates, key=lambda each: each.architecture)
    entries = [each.descriptor for each in ordered]
    return as_json({**_index(entries), "annotations": dict(annotations)})


@dataclass(frozen=True)
class Layout:
    """The folder of an OCI layout. `entries` are the manifests that its index.json names."""

    folder: Path
    entries: tuple[Object, ...] = ()

    def path(self, digest: str) -> Path:
        """The file of a blob; raises PolicyError for a digest that is not SHA-256."""
        if not DIGEST.fullmatch(digest):
            raise PolicyError(f"digest {shown(digest)!r}: only sha256 is read")
        return self.folder / BLOBS / digest.removeprefix("sha256:")

    def add(self, kind: str, data: bytes) -> Object:
        """Write a blob and return its descriptor."""
        found = descriptor(kind, digest_of(data), len(data))
        with atomic_path(self.path(found["digest"])) as part:
            part.write_bytes(data)
        return found

    def with_entries(self, *entries: Object) -> "Layout":
        """Write index.json with further manifests and return the layout."""
        every = {each["digest"]: each for each in (*self.entries, *entries)}
        with atomic_path(self.folder / "index.json") as part:
            part.write_bytes(as_json(_index([*every.values()])))
        return Layout(self.folder, tuple(every.values()))

    def attach(self, subject: Object, bundle: bytes, kind: str, created: str) -> Object:
        """Write a bundle and the manifest that attaches it to a subject; return its descriptor."""
        annotations = {CONTENT: "dsse-envelope", KIND: kind}
        return self.add(
            MANIFEST,
            as_json(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "artifactType": BUNDLE,
                    "config": self.add(EMPTY_TYPE, EMPTY),
                    "layers": [self.add(BUNDLE, bundle)],
                    "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
                    "annotations": {**annotations, f"{ANNOTATION}created": created},
                }
            ),
        ) | {"artifactType": BUNDLE}

    def read(self, digest: str) -> bytes:
        """The bytes of a small blob, which match its digest; raises PolicyError."""
        path = self.path(digest)
        if not path.is_file():
            raise PolicyError(f"{digest}: missing")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise PolicyError(f"{digest}: larger than {MAX_JSON_BYTES} bytes")
        data = path.read_bytes()
        if digest_of(data) != digest:
            raise PolicyError(f"{digest}: its bytes do not match its digest")
        return data

    def json(self, digest: str) -> Object:
        """The object in a small blob; raises PolicyError."""
        return parse(self.read(digest), digest)

    def blobs(self) -> set[str]:
        """The digests of all blobs."""
        return {f"sha256:{path.name}" for path in (self.folder / BLOBS).iterdir()}


def repository(tools: Tools, found: Layout) -> Repository:
    """A layout as a repository, which oras copies from and to."""
    return Repository(tools, str(found.folder.absolute()), is_layout=True)


def parse(data: bytes, name: str) -> Object:
    """The manifest or index in a blob; raises PolicyError."""
    try:
        found = parse_json(data)
    except UntrustedError as error:
        raise PolicyError(f"{name}: {error}") from error
    if not _is_object(found):
        raise PolicyError(f"{name}: not an object")
    lists = [found.get(key, []) for key in ("manifests", "layers", "blobs")]
    named = [each for listed in lists for each in (listed if isinstance(listed, list) else [0])]
    named += [found[key] for key in ("config", "subject") if key in found]
    if not all(map(_is_descriptor, named)):
        raise PolicyError(f"{name}: not a manifest")
    return found


def _is_descriptor(value: object) -> bool:
    if not _is_object(value) or not DIGEST.fullmatch(str(value.get("digest"))):
        return False
    size = value.get("size")
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0


def _is_object(value: object) -> TypeGuard[Object]:
    return isinstance(value, dict)


def create(folder: Path) -> Layout:
    """Make an empty layout."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / BLOBS).mkdir(parents=True)
    (folder / "oci-layout").write_bytes(VERSION)
    return Layout(folder).with_entries()


def add_archive(layout: Layout, archive: Path) -> None:
    """Copy the blobs of a tested archive; raises ImageError if one does not match its digest."""
    with open_archive(archive) as files:
        for name in sorted(files.members):
            if name.startswith(BLOBS):
                with atomic_path(layout.folder / name) as part, part.open("wb") as copy:
                    copy.writelines(files.chunks(name))
                if sha256(layout.folder / name) != name.removeprefix(BLOBS):
                    raise ImageError(f"{archive}: {name}: its bytes do not match its digest")


def write_archive(layout: Layout, entry: Object, path: Path) -> None:
    """Write the archive of one image of a layout; raises PolicyError if a blob is missing."""
    manifest = layout.json(str(entry["digest"]))
    named = [entry, manifest["config"], *manifest["layers"]]
    texts = {"oci-layout": VERSION, "index.json": as_json(_index([entry]))}
    with tarfile.open(path, "w") as tar:
        for name, data in texts.items():
            tar.addfile(member(name, len(data)), io.BytesIO(data))
        # Two layers may be the same blob.
        for digest in dict.fromkeys(str(each["digest"]) for each in named):
            blob = layout.path(digest)
            if not blob.is_file():
                raise PolicyError(f"{digest}: missing")
            with blob.open("rb") as stream:
                tar.addfile(member(f"{BLOBS}{digest[7:]}", blob.stat().st_size), stream)


def _index(entries: Sequence[Object]) -> Object:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries]}
