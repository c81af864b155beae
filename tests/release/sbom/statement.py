"""What an SBOM states, in the form of the independent reader."""

from collections.abc import Iterator
from typing import Any

from tests.release.sbom.independent import Findings

Sbom = dict[str, Any]
PREFIX = {"deb": "pkg:deb/", "go": "pkg:golang/"}


def of(sbom: Sbom) -> Findings:
    """The packages, modules and files of an SBOM."""
    packages = {
        (each["name"], each["version"], each["purl"].partition("arch=")[2].partition("&")[0])
        for each in sbom["components"]
        if is_installed(each)
    }
    files = {(each["name"], each["hashes"][0]["content"]) for each in programs(sbom)}
    return Findings(frozenset(packages), frozenset(_modules(sbom)), frozenset(files))


def is_installed(component: Sbom) -> bool:
    """Whether a component is a Debian package whose files are in the image."""
    linked = {"name": "worker:linked", "value": "statically"}
    return component.get("purl", "").startswith(PREFIX["deb"]) and linked not in component.get(
        "properties", []
    )


def programs(sbom: Sbom) -> Iterator[Sbom]:
    """The ELF files."""
    for component in sbom["components"]:
        yield from component.get("components", [])


def _modules(sbom: Sbom) -> Iterator[tuple[str, str, str]]:
    known = {each["bom-ref"]: each for each in sbom["components"]}
    needs = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    for program in programs(sbom):
        for reference in needs.get(program["bom-ref"], []):
            yield program["name"], known[reference]["name"], known[reference]["version"]


def differences(stated: Findings, found: Findings) -> list[str]:
    """What only the SBOM or only the independent reader has."""
    pairs = [
        (stated.packages, found.packages),
        (stated.modules, found.modules),
        (stated.files, found.files),
    ]
    only_stated = [f"only in the SBOM: {' '.join(row)}" for a, b in pairs for row in a - b]
    only_found = [f"not in the SBOM: {' '.join(row)}" for a, b in pairs for row in b - a]
    return sorted([*only_stated, *only_found])
