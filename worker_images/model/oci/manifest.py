"""The manifest of an image archive; one that an engine may read differently is refused.

https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md and image-index.md.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from worker_images.model.oci import inflate
from worker_images.model.oci.files import BLOBS, Files
from worker_images.model.oci.image import ImageError
from worker_images.untrusted import UntrustedError, check_spelling, parse_json, printable

Object = dict[str, Any]

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
INDEX_TYPES = {f"{OCI}index.v1+json", f"{DOCKER}distribution.manifest.list.v2+json"}
MANIFEST_TYPES = {f"{OCI}manifest.v1+json", f"{DOCKER}distribution.manifest.v2+json"}
CONFIG_TYPES = {f"{OCI}config.v1+json", f"{DOCKER}container.image.v1+json"}
ZSTANDARD = f"{OCI}layer.v1.tar+zstd"
LAYER_TYPES = {
    ZSTANDARD,
    f"{OCI}layer.v1.tar",
    f"{OCI}layer.v1.tar+gzip",
    f"{DOCKER}image.rootfs.diff.tar",
    f"{DOCKER}image.rootfs.diff.tar.gzip",
}
INDEX = frozenset({"schemaVersion", "mediaType", "manifests", "annotations"})
MANIFEST = frozenset({"schemaVersion", "mediaType", "config", "layers", "annotations"})
DESCRIPTOR = frozenset({"mediaType", "digest", "size", "annotations", "platform"})
REFERENCES = frozenset({"urls", "data", "artifactType", "subject"})
SAVED = frozenset({"Config", "RepoTags", "Layers", "LayerSources"})
# Files of an OCI archive besides its blobs.
LAYOUT = frozenset({"oci-layout", "index.json", "manifest.json"})


@dataclass(frozen=True)
class Manifest:
    """What an archive records about its image.

    `digests` name the image: of the manifest, of an index around it, of the configuration.
    `layers` are names of files, `documents` the objects whose annotations are shipped too. The
    descriptor is that of the manifest; an archive without index.json has none.
    """

    digests: tuple[str, ...]
    config: Object = field(repr=False)
    config_file: str
    layers: tuple[str, ...]
    documents: tuple[Object, ...] = field(default=(), repr=False)
    descriptor: Object | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that belong to the image."""
        own = [BLOBS + self.descriptor["digest"][7:]] if self.descriptor else []
        return (*own, self.config_file, *self.layers)

    @property
    def saved(self) -> list[Object]:
        """The manifest.json of this image alone, without a name."""
        layers = list(self.layers)
        return [{"Config": self.config_file, "RepoTags": None, "Layers": layers}]


def read(files: Files, architecture: str = "amd64", *, strict: bool = False) -> Manifest:
    """Read the manifest of the one image for an architecture; raises ImageError.

    `strict` allows only what BuildKit writes for one image: no other key, file or platform.
    """
    try:
        if "index.json" in files:
            return _oci(files, architecture, strict=strict)
        if strict:
            raise ImageError("no index.json: not an OCI archive")
        return _docker(files)
    except (UntrustedError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(f"not a valid manifest: {error}") from error


def annotations(value: object) -> Iterator[tuple[str, str]]:
    """The annotations of a document, and of all descriptors in it."""
    if isinstance(value, list):
        for each in value:
            yield from annotations(each)
    if isinstance(value, dict):
        own = value.get("annotations")
        yield from ((key, str(text)) for key, text in own.items()) if isinstance(own, dict) else ()
        for each in value.values():
            yield from annotations(each)


def _object(data: bytes, known: frozenset[str], *, strict: bool) -> Object:
    found = parse_json(data)
    if not isinstance(found, dict):
        raise ImageError("a manifest that is not an object")
    _check_keys(found, known, strict=strict)
    return found


def _check_keys(found: Object, known: frozenset[str], *, strict: bool) -> None:
    check_spelling(found, known | REFERENCES)
    if unknown := found.keys() - known if strict else found.keys() & {"urls", "data"}:
        raise ImageError(f"unexpected keys: {', '.join(map(printable, sorted(unknown)))}")


def _oci(files: Files, architecture: str, *, strict: bool) -> Manifest:
    index = _object(files.read("index.json"), INDEX, strict=strict)
    documents = [index]
    entry = _only(_entries(files, index, strict=strict), "images in the archive")
    digests = [_digest(files, entry, MANIFEST_TYPES | INDEX_TYPES, strict=strict)]
    found = _object(files.blob(digests[0]), MANIFEST | INDEX, strict=strict)
    if "manifests" in found:
        if strict or "layers" in found:
            raise ImageError("an index within the archive's index")
        documents.append(found)
        entry = _of_platform(files, found, architecture)
        digests.insert(0, _digest(files, entry, MANIFEST_TYPES, strict=strict))
        found = _object(files.blob(digests[0]), MANIFEST, strict=strict)
    if found.get("mediaType", entry["mediaType"]) != entry["mediaType"]:
        raise ImageError("a manifest of another media type than its descriptor names")
    config = _digest(files, found["config"], CONFIG_TYPES, strict=strict)
    layers = [_layer(files, each, strict=strict) for each in found["layers"]]
    manifest = Manifest(
        digests=(*digests, config),
        config=parse_json(files.blob(config)),
        config_file=BLOBS + config[7:],
        layers=tuple(BLOBS + digest[7:] for digest in layers),
        documents=(*documents, found),
        descriptor={key: entry[key] for key in ("mediaType", "digest", "size")},
    )
    if strict:
        _check_files(files, manifest)
    _check_saved(files, manifest)
    return manifest


def _entries(files: Files, index: Object, *, strict: bool) -> list[Object]:
    """The entries of an index whose blobs are in the archive, without attestations."""
    entries: list[Object] = index["manifests"]
    if strict:
        return entries
    present = [each for each in entries if BLOBS + str(each["digest"])[7:] in files]
    images = [each for each in present if not _is_attestation(each)]
    # Two names of one image are two entries.
    return list({each["digest"]: each for each in images}.values())


def _is_attestation(entry: Object) -> bool:
    annotations, platform = entry.get("annotations") or {}, entry.get("platform") or {}
    reference = annotations.get("vnd.docker.reference.type")
    return bool(reference == "attestation-manifest" and platform.get("os") == "unknown")


def _only(entries: list[Object], what: str) -> Object:
    if len(entries) != 1:
        raise ImageError(f"{len(entries)} {what}, want one; save one image for one platform")
    return entries[0]


def _of_platform(files: Files, index: Object, architecture: str) -> Object:
    entry = _only(_entries(files, index, strict=False), "images in the index")
    platform = entry.get("platform") or {}
    if platform.get("architecture", architecture) != architecture:
        raise ImageError(f"the image is for {platform.get('architecture')}, not {architecture}")
    return entry


def _digest(files: Files, entry: Object, types: set[str], *, strict: bool) -> str:
    """The digest of a descriptor; raises ImageError unless the descriptor is true."""
    _check_keys(entry, DESCRIPTOR, strict=strict)
    digest, size, kind = entry["digest"], entry["size"], entry["mediaType"]
    if not DIGEST.fullmatch(digest):
        raise ImageError(f"digest {printable(digest)!r}: only sha256 is read")
    if kind not in types:
        raise ImageError(f"{digest}: unexpected media type {printable(str(kind))}")
    actual = files.size(BLOBS + digest[7:])
    if type(size) is not int or size != actual:
        raise ImageError(f"{digest}: its descriptor says {size} bytes; it has {actual}")
    return str(digest)


def _layer(files: Files, entry: Object, *, strict: bool) -> str:
    """The digest of a layer; raises ImageError if zstd is in its type or its bytes alone."""
    digest = _digest(files, entry, LAYER_TYPES, strict=strict)
    first = next(files.chunks(BLOBS + digest[7:]), b"")
    if first.startswith(inflate.ZSTANDARD) != (entry["mediaType"] == ZSTANDARD):
        raise ImageError(f"layer {digest}: its media type, {entry['mediaType']}, is wrong")
    return digest


def _check_files(files: Files, manifest: Manifest) -> None:
    """Refuse files that nothing references, and a manifest.json of another image."""
    if surplus := files.members.keys() - {*LAYOUT, *manifest.files}:
        raise ImageError(f"unreferenced files: {', '.join(map(printable, sorted(surplus)))}")
    if parse_json(files.read("oci-layout")) != {"imageLayoutVersion": "1.0.0"}:
        raise ImageError("oci-layout: not version 1.0.0")
    if "manifest.json" in files and parse_json(files.read("manifest.json")) != manifest.saved:
        raise ImageError("manifest.json names another image than index.json, or has names")


def _check_saved(files: Files, manifest: Manifest) -> None:
    """Refuse an archive of which engines that do not read index.json load another image."""
    if "manifest.json" in files:
        entry = _only(parse_json(files.read("manifest.json")), "images in manifest.json")
        _check_keys(entry, SAVED, strict=False)
        if (entry["Config"], entry["Layers"]) != (manifest.config_file, [*manifest.layers]):
            raise ImageError("manifest.json names another image than index.json")
    elif "repositories" in files:
        raise ImageError("repositories names another image than index.json")


def _docker(files: Files) -> Manifest:
    """The manifest of an archive without index.json: docker before 25, kaniko, Bazel."""
    found = parse_json(files.read("manifest.json"))
    entry = _only(found, "images in manifest.json")
    _check_keys(entry, SAVED, strict=False)
    config, layers = str(entry["Config"]), [str(each) for each in entry["Layers"]]
    data = files.read(config)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Manifest((digest,), parse_json(data), config, tuple(layers))
