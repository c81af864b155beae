"""What the layout of a release holds: images, statements, and how they contradict each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from worker_images.errors import PolicyError
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image, ImageError
from worker_images.release import layout, policy, provenance, stated, tested
from worker_images.release.cosign import BUNDLE, Statement, Verifier
from worker_images.release.layout import ANNOTATION, MANIFEST, Layout, Object
from worker_images.release.statements import NAMES, OF_IMAGE, OF_INDEX, PROVENANCE, SBOM, TESTS
from worker_images.release.tested import LayerResults
from worker_images.untrusted import UntrustedError, shown

VARIANT = "worker.variant"
VERSION, REVISION = f"{ANNOTATION}version", f"{ANNOTATION}revision"
ENTRY = frozenset({"mediaType", "digest", "size", "platform"})


@dataclass(frozen=True)
class Published:
    """An image of a release, by architecture."""

    architecture: str
    digest: str
    image_id: str
    labels: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Verified:
    """A release that was checked: the index, its images and the statements about them.

    `others` are attestations that do not count, such as those of a scanner with its own key.
    """

    name: str
    digest: str
    annotations: Mapping[str, str]
    images: tuple[Published, ...]
    statements: tuple[Statement, ...] = field(repr=False)
    faults: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The result for people."""
        version = self.annotations.get(VERSION, "unknown")
        rows = [("release", f"{self.annotations.get(VARIANT)} {version}"), ("index", self.digest)]
        rows += [("revision", self.annotations.get(REVISION, "unknown"))]
        rows += [("image", f"{each.architecture} {each.digest}") for each in self.images]
        rows += [("image id", f"{each.architecture} {each.image_id}") for each in self.images]
        found = [each.kind for each in self.statements]
        rows += [("verified", f"{name}: {found.count(kind)}") for kind, name in NAMES.items()]
        rows += [("tests", f"{platform} {each.text}") for platform, each in self._tests()]
        rows += [("ignored", shown(text, 200)) for text in self.others]
        return "\n".join(f"{name:9} {text}" for name, text in rows)

    @property
    def lacks_statements(self) -> bool:
        """Whether a needed statement is missing, and no other attestation may be it."""
        return bool(self.images) and not self.others and any(_absent(self.statements, self.images))

    def _tests(self) -> Iterator[tuple[str, LayerResults]]:
        """The results of each layer that are readable, by architecture."""
        for each in self.statements:
            if each.kind == TESTS and subject_of(each):
                found = tested.read(each.predicate)
                yield from ((found.architecture, layer) for layer in found.layers)

    def as_data(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "verified": not self.faults,
            "faults": self.faults,
            "digest": self.digest,
            "annotations": dict(self.annotations),
            "images": [asdict(each) for each in self.images],
            "tests": [
                {"architecture": platform, **each.counts} for platform, each in self._tests()
            ],
            "statements": [asdict(each) for each in self.statements],
            "ignored": self.others,
        }


def examine(
    pulled: Layout,
    name: str,
    digest: str,
    referrers: Sequence[str],
    verifier: Verifier,
    required: Sequence[str],
) -> Verified:
    """Check a release against its bytes and return it with its faults; raises PolicyError."""
    faults = list[str]()
    index = pulled.json(digest)
    pairs = list(_images(pulled, index, faults))
    images = tuple(published for published, _ in pairs)
    others = list[str]()
    statements = tuple(_statements(pulled, digest, referrers, verifier, others))
    annotations = annotations_of(index)
    if absent := [*_absent(statements, images)]:
        # One of these may be what is missing, and say why.
        faults += [*others, *absent]
    faults += _foreign(statements, images)
    for own, image in pairs:
        faults += _contradictions(own, image, annotations, statements, required)
    variant, revision = annotations.get(VARIANT), annotations.get(REVISION, "")
    for each in statements:
        if each.kind == PROVENANCE:
            faults += provenance.faults(each.predicate, variant, revision)
    return Verified(name, digest, annotations, images, statements, tuple(faults), tuple(others))


def annotations_of(index: Object) -> dict[str, str]:
    """The annotations of an index."""
    found = index.get("annotations")
    return {key: str(text) for key, text in found.items()} if isinstance(found, dict) else {}


def revision_faults(annotations: Mapping[str, str], *, allow_dirty: bool) -> Iterator[str]:
    """Why users must not trust the revision of an index."""
    revision = annotations.get(REVISION, "")
    if not allow_dirty and not provenance.commit_of(revision):
        yield (
            f"revision {shown(revision) or 'missing'}: built with changes that are not committed,"
            " or outside of git; to accept this, add --allow-dirty"
        )


def _images(pulled: Layout, index: Object, faults: list[str]) -> Iterator[tuple[Published, Image]]:
    """The images of an index, read strictly. Their layers are deleted with the layout."""
    if not index.get("manifests"):
        faults.append("an index without images")
    for number, entry in enumerate(index.get("manifests", ())):
        platform = entry.get("platform")
        architecture = str(platform.get("architecture") if isinstance(platform, dict) else None)
        try:
            image = _image(pulled, entry, architecture, number)
        except (PolicyError, ImageError) as error:
            faults.append(f"image for {shown(architecture)}: {error}")
        else:
            yield Published(architecture, image.digest, image.image_id, image.labels), image


def _image(pulled: Layout, entry: Object, architecture: str, number: int) -> Image:
    """Read an image; raises PolicyError or ImageError."""
    if entry.keys() != ENTRY or entry["mediaType"] != MANIFEST:
        raise PolicyError("its entry in the index has unexpected keys")
    file, scratch = pulled.folder / f"image-{number}.tar", pulled.folder / f"image-{number}"
    layout.write_archive(pulled, entry, file)
    scratch.mkdir()
    image = archive.load(file, scratch, architecture, strict=True)
    if image.config.get("architecture") != architecture:
        raise PolicyError(f"its configuration is for {image.config.get('architecture')}")
    return image


def _statements(
    pulled: Layout, digest: str, referrers: Sequence[str], verifier: Verifier, others: list[str]
) -> Iterator[Statement]:
    """The statements whose signatures are good; `others` gets the reasons why others are not."""
    subject = pulled.read(digest)
    for each in referrers:
        try:
            found = pulled.json(each)
            if found.get("artifactType") == BUNDLE:
                (layer,) = found["layers"]
                yield verifier.verify(pulled.read(str(layer["digest"])), subject)
        except (PolicyError, KeyError, TypeError, ValueError) as error:
            others.append(f"attestation {each}: {error}")


def _absent(statements: Sequence[Statement], images: Sequence[Published]) -> Iterator[str]:
    """The statements that a release needs and this one lacks."""
    kinds = {each.kind for each in statements}
    yield from (f"no {NAMES[kind]}" for kind in OF_INDEX if kind not in kinds)
    for kind in OF_IMAGE:
        subjects = {subject_of(each) for each in statements if each.kind == kind}
        for image in images:
            if image.digest not in subjects:
                yield f"no {NAMES[kind]} for {image.architecture}"


def _foreign(statements: Sequence[Statement], images: Sequence[Published]) -> Iterator[str]:
    """The SBOMs and test results that are about no image of the index, or are not readable."""
    digests = {image.digest for image in images}
    for each in statements:
        if each.kind in OF_IMAGE and subject_of(each) not in digests:
            yield f"{NAMES[each.kind]}: about another image, or not one of ./build.py release"


def subject_of(statement: Statement) -> str:
    """The manifest that an SBOM or test results describe; empty for others."""
    try:
        if statement.kind == SBOM:
            return str(statement.predicate["metadata"]["component"]["version"])
        if statement.kind == TESTS:
            return tested.read(statement.predicate).manifest_digest
    except (LookupError, TypeError, AttributeError, UntrustedError):
        return ""
    return ""


def _sbom_faults(document: Mapping[str, Any], image: Image) -> list[str]:
    try:
        return stated.differences(document, image)
    except (LookupError, TypeError, AttributeError) as error:
        return [f"not one of ./build.py release: {error}"]


def _contradictions(
    published: Published,
    image: Image,
    annotations: Mapping[str, str],
    statements: Sequence[Statement],
    required: Sequence[str],
) -> Iterator[str]:
    """Contradictions between the statements about an image and its bytes."""
    where = f"image for {published.architecture}"
    if VARIANT not in annotations or image.labels.get(VARIANT) != annotations.get(VARIANT):
        yield f"{where}: its label says {shown(str(image.labels.get(VARIANT)))}"
    own = [each for each in statements if subject_of(each) == published.digest]
    for each in own:
        if each.kind == SBOM:
            yield from (f"{where}: SBOM: {fault}" for fault in _sbom_faults(each.predicate, image))
    results = [each.predicate for each in own if each.kind == TESTS]
    complete = policy.required(required)
    found = [policy.check(each, published.image_id, published.digest, complete) for each in results]
    if any(each.get("result") == "FAILED" for each in results):
        yield f"{where}: a check failed after the release"
    # Results of a GPU node may have been added later; one statement must show all that is needed.
    yield from (f"{where}: {fault}" for fault in min(found, key=len, default=[]))
