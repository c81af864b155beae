"""Debian packages that an image records, compared with the lock."""

from dataclasses import replace

import pytest

from tests.support.members import Member, file
from tests.unit.release.conftest import Loaded
from worker_images.build.inputs import Root
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.model.lock import Package
from worker_images.model.project import Project
from worker_images.release import debian

COPYRIGHT = "Format: https://www.debian.org/copyright-format/1.0/\n\nFiles: *\nLicense: ISC\n"


def locked(name: str, version: str = "1:2.0-1+b1") -> Package:
    url = f"http://deb.debian.org/debian/pool/main/o/one/{name}_{version}_amd64.deb"
    return Package(name, version, url, 9, name[0] * 64)


def record(name: str, version: str = "1:2.0-1+b1", architecture: str = "amd64") -> list[Member]:
    place = f"var/lib/dpkg/status.d/{name}"
    text = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
    sums = f"{'a' * 32}  usr/bin/{name}\n{'b' * 32}  usr/share/a  b\n"
    return [file(place, text), file(f"{place}.md5sums", sums)]


@pytest.fixture
def one(full: Plan, project: Project) -> Plan:
    """A plan with the packages one and one-data, and cpp for the compiler."""
    rules = project.catalog.rules
    roots = (
        Root("base", (locked("one"), locked("one-data")), rules),
        Root("cgo", (locked("cpp"),), rules),
    )
    return replace(full, inputs=roots, components=())


def test_packages_are_read_from_records_and_lock(
    loaded: Loaded, one: Plan, project: Project
) -> None:
    """A package without a copyright file has that of another package of its source."""
    texts = [file("usr/share/doc/one/copyright", COPYRIGHT)]
    image = loaded([*record("one"), *record("one-data", architecture="all"), *texts])
    first, second = debian.packages(image, one, project.catalog.rules)
    assert first == debian.Package(
        name="one",
        version="1:2.0-1+b1",
        source="one",
        architecture="amd64",
        component="base",
        sha256="o" * 64,
        copyright="/usr/share/doc/one/copyright",
        licences=("ISC",),
        sums={"/usr/bin/one": "a" * 32, "/usr/share/a  b": "b" * 32},
    )
    assert (second.name, second.architecture) == ("one-data", "all")
    assert (second.copyright, second.licences) == (first.copyright, first.licences)


def test_package_without_licence_texts_has_no_licences(
    loaded: Loaded, one: Plan, project: Project
) -> None:
    image = loaded([*record("one"), *record("one-data")])
    found = debian.packages(image, one, project.catalog.rules)
    assert [(each.copyright, each.licences) for each in found] == [("", ()), ("", ())]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("one")], "one-data is missing in the image and 1:2.0-1+b1 in versions.lock"),
        (
            [record("one"), record("one-data", "3")],
            "one-data is 3 in the image and 1:2.0-1+b1 in versions.lock",
        ),
        (
            [record("one"), record("one-data"), record("cpp")],
            "cpp is 1:2.0-1+b1 in the image and missing in versions.lock",
        ),
    ],
)
def test_packages_that_differ_from_the_lock_are_refused(
    records: list[list[Member]], message: str, loaded: Loaded, one: Plan, project: Project
) -> None:
    image = loaded([member for each in records for member in each])
    with pytest.raises(PolicyError, match="build the image again") as refused:
        debian.packages(image, one, project.catalog.rules)
    assert message in str(refused.value)


def test_package_that_images_exclude_is_not_expected(
    loaded: Loaded, one: Plan, project: Project
) -> None:
    rules = project.catalog.rules
    excluded = Root("base", (locked("one"), locked("debconf")), rules)
    found = debian.packages(loaded(record("one")), replace(one, inputs=(excluded,)), rules)
    assert [each.name for each in found] == ["one"]
