"""Does the SBOM of each tested archive name everything that is in it, and nothing else?"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.release.sbom import independent, statement
from tests.release.sbom.conftest import LOCKED, PROJECT, VARIANTS, Case
from worker_images.fetch import apt
from worker_images.files import CACHE, ROOT
from worker_images.model.oci import archive
from worker_images.release import sbom, stated


@pytest.mark.parametrize("variant", VARIANTS)
def test_sbom_follows_the_schema_of_cyclonedx(variant: str, cases: Mapping[str, Case]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(cases[variant].text) is None
    broken = cases[variant].text.replace('"container"', '"contraption"')
    assert validator.validate_str(broken) is not None


@pytest.mark.parametrize("variant", VARIANTS)
def test_sbom_names_what_other_programs_find(variant: str, cases: Mapping[str, Case]) -> None:
    """dpkg-query, the go command and tar find the packages, modules and ELF files of the SBOM."""
    case = cases[variant]
    assert len(case.found.packages) > 50
    assert len(case.found.files) > 300
    assert len(case.found.modules) > 15
    assert statement.differences(statement.of(case.sbom), case.found) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_packages_hold_the_files_that_they_own(variant: str, cases: Mapping[str, Case]) -> None:
    """Each .deb with the digest of the SBOM has the ELF files that the SBOM names below it."""
    packages = [each for each in cases[variant].sbom["components"] if statement.is_installed(each)]
    index = {each.sha256: each for each in LOCKED.packages["amd64"].files}
    wanted = [index[each["hashes"][0]["content"]] for each in packages]
    for package, deb in zip(packages, apt.fetch(wanted, CACHE / "debs"), strict=True):
        owned = {each["name"] for each in package.get("components", [])}
        assert owned <= independent.files_of_deb(deb), package["name"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_component_has_version_digest_and_licence(
    variant: str, cases: Mapping[str, Case]
) -> None:
    case = cases[variant]
    known = {each["bom-ref"]: each for each in case.sbom["components"]}
    layers = dict(
        zip(("base", *(each.name for each in case.plan.components)), case.image.layers, strict=True)
    )
    for name, layer in layers.items():
        component = known[f"component:{name}"]
        assert component["version"]
        assert f"sha256:{component['hashes'][0]['content']}" == layer.diff_id
        assert component.get("licenses") or name == "base"
    for component in known.values():
        assert component["version"]
        if component.get("purl", "").startswith(("pkg:deb/", "pkg:pypi/")):
            assert component["licenses"], component["name"]
            assert component["hashes"], component["name"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_image_depends_on_components_and_they_on_their_parts(
    variant: str, cases: Mapping[str, Case]
) -> None:
    """Every part of the SBOM is reached from the image, and only through a component."""
    document = cases[variant].sbom
    needs = {each["ref"]: set(each.get("dependsOn", [])) for each in document["dependencies"]}
    components = needs[document["metadata"]["component"]["bom-ref"]]
    named = ("base", *(each.name for each in cases[variant].plan.components))
    assert components == {f"component:{name}" for name in named}
    parts = {part for component in components for part in needs[component]}
    assert components | parts == {each["bom-ref"] for each in document["components"]}
    assert all(needs[component] for component in components)


def test_static_program_names_the_libraries_that_it_contains(cases: Mapping[str, Case]) -> None:
    """runc is linked statically with libc and libseccomp; no other program is."""
    document = cases["full"].sbom
    known = {each["bom-ref"]: each for each in document["components"]}
    (needs,) = (
        each["dependsOn"] for each in document["dependencies"] if each["ref"] == "component:runc"
    )
    debs = {known[each]["name"] for each in needs if each.startswith("pkg:deb/")}
    assert debs == {"libc6-dev", "libseccomp-dev"}
    linked = [
        each
        for each in known.values()
        if each.get("purl", "").startswith("pkg:deb/") and not statement.is_installed(each)
    ]
    assert {each["name"] for each in linked} == debs


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_images_have_equal_sboms(
    variant: str, cases: Mapping[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, time zone and environment give the same bytes."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("CI_JOB_TOKEN", "canary-ci-token")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers").mkdir()
    image = archive.load(ROOT / "out" / variant / "image.tar", tmp_path / "layers")
    text = sbom.document(image, cases[variant].plan, PROJECT, LOCKED)
    assert text == cases[variant].text
    assert "canary" not in text
    assert str(ROOT) not in text


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_sbom_is_that_of_the_image(variant: str, cases: Mapping[str, Case]) -> None:
    """`verify-release` compares without the lock."""
    assert stated.differences(cases[variant].sbom, cases[variant].image) == []
