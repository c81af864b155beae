"""Licences in Debian's copyright files."""

from pathlib import Path

import pytest

from worker_images.model.catalog import Catalog
from worker_images.release import licences

HEADER = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"


@pytest.mark.parametrize(
    ("debian", "spdx"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("LGPL-3+", "LGPL-3.0-or-later"),
        ("GFDL-1.3+", "GFDL-1.3-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("Apache-2.0", "Apache-2.0"),
    ],
)
def test_licence_of_debian_becomes_spdx(debian: str, spdx: str) -> None:
    found = licences.of_copyright(f"{HEADER}Files: *\nLicense: {debian}\n text\n")
    assert found == (spdx,)
    assert licences.is_spdx(spdx)


@pytest.mark.parametrize(
    "name", ["public-domain", "GPL-9", "GPL-2+ with Bison exception", "custom"]
)
def test_licence_without_an_spdx_identifier_keeps_its_name(name: str) -> None:
    assert licences.of_copyright(f"{HEADER}Files: *\nLicense: {name}\n") == (name,)
    assert not licences.is_spdx(name)


def test_licences_are_named_once_in_order() -> None:
    text = f"{HEADER}Files: *\nLicense: ISC\n\nFiles: b\nLicense: GPL-2\n\nLicense: ISC\n Text\n"
    assert licences.of_copyright(text) == ("GPL-2.0-only", "ISC")


def test_licence_text_names_no_licence() -> None:
    """Only a field at the start of a line counts, and one without a name does not."""
    text = f"{HEADER}Files: *\nLicense:\n License: GPL-2\n"
    assert licences.of_copyright(text) == ()


def test_copyright_file_without_the_format_names_no_licence() -> None:
    assert licences.of_copyright(f"This is the package.\n\n{HEADER}License: GPL-2\n") == ()


def test_licences_of_components_are_spdx_or_our_references(catalog: Catalog) -> None:
    for name, definition in catalog.components.items():
        parts = definition.licence.split(" AND ")
        own = [each for each in parts if not licences.is_spdx(each)]
        assert own in ([], ["LicenseRef-NVIDIA-CUDA-EULA"]), name


def test_page_has_the_licence_of_each_component(catalog: Catalog, root: Path) -> None:
    lines = (root / "docs/licences.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    found = {row[0].removeprefix("| "): row[1] for row in rows}
    assert {name: found.get(name) for name in catalog.components} == {
        name: definition.licence for name, definition in catalog.components.items()
    }
