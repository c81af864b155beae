"""The SBOM of a small image: one Debian package with a Go program."""

import hashlib
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from tests.support.elf_files import go_program, library
from tests.support.members import file
from tests.unit.release.conftest import Loaded
from worker_images.build.inputs import Root
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.model.lock import Lock, Package
from worker_images.model.oci.image import Image
from worker_images.model.project import Project
from worker_images.release import sbom

PROGRAM = go_program("path\texample.org/one\nmod\texample.org/one\tv1.0.0\th1:one=\n")
DEB = Package("one", "1:2.0+b1", "http://deb.debian.org/pool/main/o/one/one.deb", 9, "a" * 64)
PURL = "pkg:deb/debian/one@1:2.0%2Bb1?arch=arm64&distro=trixie"


@pytest.fixture
def image(loaded: Loaded) -> Image:
    record = "Package: one\nVersion: 1:2.0+b1\nArchitecture: arm64\n"
    sums = f"{hashlib.md5(PROGRAM, usedforsecurity=False).hexdigest()}  usr/bin/one\n"
    place = "var/lib/dpkg/status.d/one"
    files = [file(place, record), file(f"{place}.md5sums", sums), file("usr/bin/one", PROGRAM)]
    return loaded(files)


@pytest.fixture
def plan(full: Plan, project: Project) -> Plan:
    root = Root("base", (DEB,), project.catalog.rules)
    return replace(full, components=(), inputs=(root,), created=1_700_000_000)


@pytest.fixture
def document(image: Image, plan: Plan, project: Project, locked: Lock) -> dict[str, Any]:
    return dict(json.loads(sbom.document(image, plan, project, locked)))


def test_package_has_its_purl_digest_and_files(document: dict[str, Any]) -> None:
    (found,) = (each for each in document["components"] if each["name"] == "one")
    assert (found["purl"], found["version"]) == (PURL, "1:2.0+b1")
    assert found["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert [each["name"] for each in found["components"]] == ["/usr/bin/one"]
    name = "copyright file of one: not in the image"
    assert found["licenses"] == [{"license": {"name": name}}]


def test_modules_of_a_go_program_in_a_package_are_listed(document: dict[str, Any]) -> None:
    needs = {each["ref"]: each.get("dependsOn") for each in document["dependencies"]}
    modules = ["pkg:golang/example.org/one@v1.0.0", "pkg:golang/stdlib@1.26.11"]
    assert needs["file:0:/usr/bin/one"] == modules
    assert needs["component:base"] == [PURL, *modules]


def test_c_program_depends_on_the_compiler_that_links_its_own_code(
    loaded: Loaded, full: Plan, plan: Plan, project: Project, locked: Lock
) -> None:
    (own,) = full.c_programs
    record = file("var/lib/dpkg/status.d/one", "Package: one\nVersion: 1:2.0+b1\n")
    program = file("usr/local/bin/gpu-checkpoint", library(("libc.so.6",)))
    inputs = (*plan.inputs, *full.inputs_of(own))
    planned = replace(plan, components=(own,), inputs=inputs)
    text = sbom.document(loaded([record], [program]), planned, project, locked)
    found = {each["bom-ref"]: each for each in json.loads(text)["components"]}
    needs = {each["ref"]: each.get("dependsOn") for each in json.loads(text)["dependencies"]}
    assert needs["component:gpu-checkpoint"] == ["pkg:pypi/ziglang@0.15.2"]
    zig = found["pkg:pypi/ziglang@0.15.2"]
    assert zig["hashes"] == [
        {"alg": "SHA-256", "content": locked.wheels["amd64"]["zig"].sha256},
    ]
    assert zig["properties"] == [{"name": "worker:linked", "value": "statically"}]
    assert [each["name"] for each in found["component:gpu-checkpoint"]["components"]] == [
        "/usr/local/bin/gpu-checkpoint"
    ]


def test_number_and_time_come_from_the_image(document: dict[str, Any], image: Image) -> None:
    number = uuid.uuid5(uuid.NAMESPACE_URL, image.digest)
    assert document["serialNumber"] == f"urn:uuid:{number}"
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert document["metadata"]["component"]["version"] == image.digest
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")


def test_image_with_another_number_of_layers_has_no_sbom(
    image: Image, plan: Plan, full: Plan, project: Project, locked: Lock
) -> None:
    other = replace(plan, components=full.components[:1])
    with pytest.raises(PolicyError, match="1 layers for 1 components and the base"):
        sbom.document(image, other, project, locked)
