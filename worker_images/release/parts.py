"""Parts of an SBOM: packages, modules, wheels and files as components of CycloneDX."""

from collections.abc import Iterable

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from packageurl import PackageURL

from worker_images.model import lock
from worker_images.release import licences, purls
from worker_images.release.debian import Package
from worker_images.release.gomodules import Module
from worker_images.release.owners import Program

# The start of the names of our properties.
NAMESPACE = "worker:"


def sha256(digest: str) -> HashType:
    """A digest, with or without the name of its algorithm."""
    return HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))


def properties(**values: str) -> list[Property]:
    """Our properties; _ in a name becomes a dash."""
    return [
        Property(name=f"{NAMESPACE}{name.replace('_', '-')}", value=value)
        for name, value in values.items()
    ]


def program(found: Program) -> Component:
    """An ELF file."""
    return Component(
        type=ComponentType.FILE,
        name=found.entry.path,
        bom_ref=f"file:{found.entry.layer}:{found.entry.path}",
        hashes=[sha256(found.sha256)],
    )


def debian(package: Package, suite: str, files: Iterable[Component]) -> Component:
    """An installed Debian package, with its ELF files."""
    where = package.copyright or "not in the image"
    return _debian(
        purls.debian(package.name, package.version, package.architecture, suite),
        package.sha256,
        _licences(package.licences, f"copyright file of {package.name}: {where}"),
        properties(copyright=package.copyright) if package.copyright else [],
        files,
    )


def linked(
    package: lock.Package, same_source: Package | None, architecture: str, suite: str
) -> Component:
    """A Debian package whose static libraries are in a program.

    Its licences are those of an installed package of the same source, if there is one.
    """
    return _debian(
        purls.debian(package.name, package.version, architecture, suite),
        package.sha256,
        _licences(
            same_source.licences if same_source else (),
            f"copyright file of {package.name}: not in the image",
        ),
        properties(linked="statically"),
        (),
    )


def _debian(
    purl: PackageURL,
    digest: str,
    allowed: list[License],
    values: list[Property],
    files: Iterable[Component],
) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=purl.name,
        version=purl.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[sha256(digest)],
        licenses=allowed,
        properties=values,
        components=files,
    )


def _licences(names: Iterable[str], otherwise: str) -> list[License]:
    return [
        DisjunctiveLicense(id=name) if licences.is_spdx(name) else DisjunctiveLicense(name=name)
        for name in names
    ] or [DisjunctiveLicense(name=otherwise)]


def module(found: Module) -> Component:
    """A Go module; its hash in go.sum is not that of a file."""
    changes = {"replaces": found.replaces, "patches": " ".join(map(str, found.patches))}
    values = {name: text for name, text in changes.items() if text}
    return _go(found.path, found.version, properties(go_sum=found.sum, **values))


def standard_library(release: str) -> Component:
    """Go's standard library, by the release of Go."""
    return _go("stdlib", release, [])


def _go(path: str, version: str, values: list[Property]) -> Component:
    purl = purls.module(path, version)
    return Component(
        type=ComponentType.LIBRARY,
        name=path,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        properties=values,
    )


def wheel(found: lock.Wheel, licence: str, **values: str) -> Component:
    """A wheel of PyPI."""
    purl = purls.wheel(found.project, found.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=found.project,
        version=found.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[sha256(found.sha256)],
        licenses=[LicenseExpression(licence)],
        properties=properties(**values),
    )
