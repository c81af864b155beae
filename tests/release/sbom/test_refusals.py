"""Is an SBOM that differs from its image found, and an image without an owner refused?"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.release.sbom import statement
from tests.release.sbom.conftest import LOCKED, PROJECT, Case
from worker_images.build import plan
from worker_images.errors import PolicyError
from worker_images.release import sbom, stated

Edit = Callable[[dict[str, Any]], None]


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in document["components"] if each["name"] == name)


def without_module(document: dict[str, Any]) -> None:
    """Remove a module from the program that contains it."""
    needs = next(each for each in document["dependencies"] if each["ref"].endswith("/runsc"))
    needs["dependsOn"] = [each for each in needs["dependsOn"] if "/btree@" not in each]


def without_file(document: dict[str, Any]) -> None:
    component(document, "gvisor")["components"] = []


def other_digest(document: dict[str, Any]) -> None:
    component(document, "gvisor")["components"][0]["hashes"][0]["content"] = "0" * 64


def other_module(document: dict[str, Any]) -> None:
    component(document, "github.com/google/btree")["version"] = "v1.1.3"


def other_package(document: dict[str, Any]) -> None:
    component(document, "libc6")["version"] = "2.41-1"


def without_package(document: dict[str, Any]) -> None:
    document["components"].remove(component(document, "tini"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without_module, "not in the SBOM: /usr/local/bin/runsc github.com/google/btree v1.1.2"),
        (other_module, "only in the SBOM: /usr/local/bin/runsc github.com/google/btree v1.1.3"),
        (other_package, "only in the SBOM: libc6 2.41-1 amd64"),
        (without_package, "not in the SBOM: tini"),
        (without_file, "not in the SBOM: /usr/local/bin/runsc"),
        (other_digest, "only in the SBOM: /usr/local/bin/runsc 0000"),
    ],
)
def test_sbom_that_differs_from_the_image_is_found(
    edit: Edit, message: str, cases: Mapping[str, Case]
) -> None:
    document = copy.deepcopy(cases["slim"].sbom)
    edit(document)
    lines = statement.differences(statement.of(document), cases["slim"].found)
    assert any(line.startswith(message) for line in lines), lines


def other_layer(document: dict[str, Any]) -> None:
    component(document, "gvisor")["hashes"][0]["content"] = "0" * 64


def other_image(document: dict[str, Any]) -> None:
    document["metadata"]["component"]["version"] = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (other_package, "only in the SBOM: package libc6 2.41-1"),
        (without_package, "not in the SBOM: package tini"),
        (without_file, "not in the SBOM: file /usr/local/bin/runsc"),
        (other_digest, "only in the SBOM: file /usr/local/bin/runsc 0000"),
        (other_layer, "only in the SBOM: layer sha256:0000"),
        (other_image, "only in the SBOM: image sha256:0000"),
    ],
)
def test_published_sbom_of_other_bytes_is_found(
    edit: Edit, message: str, cases: Mapping[str, Case]
) -> None:
    document = copy.deepcopy(cases["slim"].sbom)
    edit(document)
    lines = stated.differences(document, cases["slim"].image)
    assert any(line.startswith(message) for line in lines), lines


def test_image_with_a_program_of_no_component_has_no_sbom(cases: Mapping[str, Case]) -> None:
    """A copy of runsc at another path, in the layer of gvisor."""
    case = cases["slim"]
    base, gvisor = case.image.layers
    stray = replace(case.image.merged["/usr/local/bin/runsc"], path="/usr/local/bin/runsc-debug")
    layers = (base, replace(gvisor, entries=(*gvisor.entries, stray)))
    with pytest.raises(PolicyError, match="/usr/local/bin/runsc-debug belongs to no package"):
        sbom.document(replace(case.image, layers=layers), case.plan, PROJECT, LOCKED)


def test_image_of_another_variant_has_no_sbom(cases: Mapping[str, Case]) -> None:
    with pytest.raises(PolicyError, match="7 layers for 1 components"):
        sbom.document(cases["full"].image, cases["slim"].plan, PROJECT, LOCKED)


def test_image_of_another_lock_has_no_sbom(cases: Mapping[str, Case]) -> None:
    case = cases["slim"]
    rows = LOCKED.packages["amd64"]
    newer = tuple(
        replace(each, version="99") if each.name == "tini" else each for each in rows.files
    )
    locked = replace(LOCKED, packages={**LOCKED.packages, "amd64": replace(rows, files=newer)})
    other = plan.make(PROJECT, locked, "slim")
    with pytest.raises(PolicyError, match=r"tini is .* in the image and 99 in versions\.lock"):
        sbom.document(case.image, other, PROJECT, locked)


def test_image_of_source_upstream_has_no_sbom(cases: Mapping[str, Case]) -> None:
    other = plan.make(PROJECT, LOCKED, "slim", "upstream")
    with pytest.raises(PolicyError, match="build with --source packages"):
        sbom.document(cases["slim"].image, other, PROJECT, LOCKED)
