"""Compare an SBOM, as a release publishes it, with an image: no plan and no lock are needed."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker_images.harness import dpkg
from worker_images.model.oci.image import Image
from worker_images.release.owners import elf_files

Row = tuple[str, ...]


def differences(document: Mapping[str, Any], image: Image) -> list[str]:
    """Return what the SBOM states and the image lacks, and the other way round.

    Raises KeyError, TypeError or AttributeError for a document that is not one of our SBOMs.
    """
    stated, found = set(_stated(document)), set(_found(image))
    return [
        *(f"only in the SBOM: {' '.join(row)}" for row in sorted(stated - found)),
        *(f"not in the SBOM: {' '.join(row)}" for row in sorted(found - stated)),
    ]


def _found(image: Image) -> Iterator[Row]:
    yield "image", image.digest
    yield from (("layer", each.diff_id) for each in image.layers)
    yield from (("package", name, each.version) for name, each in dpkg.installed(image).items())
    yield from (("file", each.path, image.sha256(each)) for each in elf_files(image))


def _stated(document: Mapping[str, Any]) -> Iterator[Row]:
    yield "image", document["metadata"]["component"]["version"]
    for each in document["components"]:
        if each["bom-ref"].startswith("component:"):
            yield "layer", f"sha256:{_digest(each)}"
        elif each["bom-ref"].startswith("pkg:deb/") and not _is_linked(each):
            yield "package", each["name"], each["version"]
        for file in each.get("components", ()):
            yield "file", file["name"], _digest(file)


def _digest(component: Mapping[str, Any]) -> str:
    return str(component["hashes"][0]["content"])


def _is_linked(component: Mapping[str, Any]) -> bool:
    """Whether only a program contains the package."""
    return any(each["name"] == "worker:linked" for each in component.get("properties", ()))
