"""Each ELF file of an image has exactly one owner."""

import hashlib
from pathlib import Path

import pytest

from tests.support.elf_files import library
from tests.support.members import file, other
from tests.unit.release.conftest import Loaded
from worker_images.errors import PolicyError
from worker_images.release.debian import Package
from worker_images.release.owners import programs

ELF = library(("libc.so.6",))
RUNC = "/usr/local/sbin/runc"


def package(name: str, **files: bytes) -> Package:
    """A package of the base with files in /usr/lib."""
    sums = {
        f"/usr/lib/{path}": hashlib.md5(data, usedforsecurity=False).hexdigest()
        for path, data in files.items()
    }
    return Package(name, "1", name, "amd64", "base", "a" * 64, "", (), sums)


def test_elf_files_have_their_owners(loaded: Loaded, root: Path) -> None:
    image = loaded([file("usr/lib/a", ELF), file("usr/lib/text", "no ELF")], [file(RUNC[1:], ELF)])
    found = programs(image, root, ["runc", "gvisor"], [package("one", a=ELF), package("two")])
    assert [(each.entry.path, each.component, each.package) for each in found] == [
        ("/usr/lib/a", "base", "one"),
        (RUNC, "runc", ""),
    ]
    assert {each.sha256 for each in found} == {hashlib.sha256(ELF).hexdigest()}


@pytest.mark.parametrize("kind", ["file", "hardlink", "hidden"])
def test_elf_file_without_an_owner_is_refused(kind: str, loaded: Loaded, root: Path) -> None:
    stray = {
        "file": file("opt/stray", ELF),
        "hardlink": other("hardlink", "opt/stray", "usr/lib/a"),
        "hidden": file("opt/stray", ELF),
    }[kind]
    hidden = [[file("opt/.wh.stray")]] if kind == "hidden" else []
    image = loaded([file("usr/lib/a", ELF), stray], *hidden)
    with pytest.raises(PolicyError, match="/opt/stray belongs to no package and no component"):
        programs(image, root, ["runc"], [package("one", a=ELF)])


def test_elf_file_that_differs_from_its_package_is_refused(loaded: Loaded, root: Path) -> None:
    image = loaded([file("usr/lib/a", ELF)])
    with pytest.raises(PolicyError, match="/usr/lib/a belongs to no package"):
        programs(image, root, [], [package("one", a=ELF + b"changed")])


def test_elf_file_of_a_component_that_is_absent_is_refused(loaded: Loaded, root: Path) -> None:
    with pytest.raises(PolicyError, match=f"{RUNC} belongs to no package"):
        programs(loaded([file(RUNC[1:], ELF)]), root, ["gvisor"], [])


@pytest.mark.parametrize(
    ("path", "owners"), [("/usr/lib/a", "one and two"), (RUNC, "runc and three")]
)
def test_elf_file_with_two_owners_is_refused(
    path: str, owners: str, loaded: Loaded, root: Path
) -> None:
    both = [package("one", a=ELF), package("two", a=ELF), package("three")]
    both[2] = Package(**{**vars(both[2]), "sums": {RUNC: next(iter(both[0].sums.values()))}})
    with pytest.raises(PolicyError, match=f"{path} belongs to {owners};"):
        programs(loaded([file(path[1:], ELF)]), root, ["runc"], both)


def test_all_elf_files_without_an_owner_are_named(loaded: Loaded, root: Path) -> None:
    image = loaded([file("opt/a", ELF)], [file("opt/b", ELF)])
    with pytest.raises(PolicyError, match=r"/opt/a belongs .*/opt/b belongs .*expect\.yaml"):
        programs(image, root, [], [])
