"""What a project adds to its checkout, and how it says that it replaces something."""

import re
from pathlib import Path

import pytest

from tests.support import projects
from worker_images.errors import DocumentError, PolicyError
from worker_images.files import ROOT
from worker_images.model import project

CHECKOUT = project.read(ROOT)
RELEASE = CHECKOUT.release
RUNC = (ROOT / "images/components/runc/component.yaml").read_text()
SLIM = (ROOT / "images/slim/variant.yaml").read_text()
JQ = "images/components/jq/component.yaml"
UNNAMED = projects.FILES["versions.yaml"].replace("fleet", '    instead_of: "1"\nfleet')
PIN = 'components:\n  criu:\n    version: "4.2"\n'


def refusal(folder: Path) -> str:
    """Return the message about a project."""
    with pytest.raises(DocumentError) as caught:
        project.load(folder)
    return str(caught.value)


def test_project_adds_a_component_and_a_variant(tmp_path: Path) -> None:
    loaded = project.load(projects.write(tmp_path))
    assert loaded.pins.components["jq"].version == "1.7"
    assert loaded.pins.components["gvisor"] == CHECKOUT.pins.components["gvisor"]
    assert {*loaded.catalog.components} == {*CHECKOUT.catalog.components, "jq"}
    assert {*loaded.catalog.variants} == {*CHECKOUT.catalog.variants, "tools"}
    assert (loaded.catalog.buildable, CHECKOUT.catalog.buildable) == (("tools",), ("full", "slim"))
    assert (loaded.checkout, loaded.stands_alone) == (ROOT, False)
    assert (CHECKOUT.checkout, CHECKOUT.stands_alone) == (ROOT, True)


def test_project_without_a_variant_has_those_of_the_checkout(tmp_path: Path) -> None:
    loaded = project.load(projects.write_pins(tmp_path, 'source: "upstream"\n'))
    assert loaded.catalog.buildable == CHECKOUT.catalog.buildable
    assert (loaded.pins.source, CHECKOUT.pins.source) == ("upstream", "packages")


def test_fleet_of_a_project_takes_the_place_of_the_checkouts(tmp_path: Path) -> None:
    loaded = project.load(projects.write(tmp_path))
    assert loaded.pins.fleet.drivers == ("580.159.04",)
    assert loaded.pins.fleet != CHECKOUT.pins.fleet


def test_section_of_a_project_keeps_the_other_keys_of_the_checkout(tmp_path: Path) -> None:
    pins = 'debian:\n  mirror: "http://mirror.example/debian"\n'
    loaded = project.load(projects.write_pins(tmp_path, pins))
    assert loaded.pins.debian.mirror == "http://mirror.example/debian"
    assert loaded.pins.debian.security == CHECKOUT.pins.debian.security


def test_gate_names_the_file_and_the_line_of_the_project(tmp_path: Path) -> None:
    pins = 'fleet:\n  drivers: ["580.159.04", "470.57.02"]\n'
    with pytest.raises(PolicyError) as caught:
        project.load(projects.write_pins(tmp_path, pins))
    assert str(caught.value).startswith(f"{tmp_path}/versions.yaml:2:27: fleet.drivers[1]: ")


REFUSED = {
    "a pin that the checkout has": (
        {"versions.yaml": PIN},
        r'/versions.yaml:2:3: components.criu: the checkout pins 4\.1\.1; .*instead_of: "4\.1\.1"$',
    ),
    "a pin that replaced an older one": (
        {"versions.yaml": f'{PIN}    instead_of: "4.0"\n'},
        r"/versions.yaml:4:5: components.criu.instead_of: the checkout pins 4\.1\.1 now, not 4\.0;",
    ),
    "a pin that replaces nothing": (
        {
            "versions.yaml": projects.FILES["versions.yaml"].replace(
                "fleet", '    instead_of: "1"\nfleet'
            )
        },
        r"/versions.yaml:4:5: components.jq.instead_of: replaces no pin; .*; delete it$",
    ),
    "an unknown key": (
        {"versions.yaml": 'components:\n  jq:\n    version: "1.7"\n    versoin: "2"\n'},
        r"/versions.yaml:4:5: components.jq.versoin: unknown key; .*did you mean version\?$",
    ),
    "a component without a pin": (
        {"versions.yaml": 'source: "packages"\n'},
        r"/versions.yaml:1:1: components.jq: missing; .*/images/components/jq exists; add a pin$",
    ),
    "a component of the same name": (
        {"images/components/runc/component.yaml": RUNC},
        r"/images/components/runc/component.yaml:2:1: \(file\): the checkout has runc too; .* add ",
    ),
    "a variant of the same name": (
        {"images/slim/variant.yaml": SLIM},
        r"/images/slim/variant.yaml:1:1: \(file\): the checkout has slim too; ",
    ),
    "a component that replaces nothing": (
        {JQ: f'{projects.FILES[JQ]}replaces: "x"\n'},
        r"/images/components/jq/component.yaml:10:1: replaces: replaces no folder; ",
    ),
    "a replaced component without its own files": (
        {"images/components/runc/component.yaml": f'{RUNC}replaces: "a patched runc"\n'},
        r"/images/components/runc/expect.yaml:1:1: runc: missing; ",
    ),
    "a template of a component that is not replaced": (
        {"images/components/runc/packages.j2": ""},
        r"/images/components/runc/packages.j2:1:1: runc: is not read; it has no component.yaml;",
    ),
    "a base": (
        {"images/base.yaml": ""},
        r"/images/base.yaml:1:1: base.yaml: is not read; it has no variant.yaml; ",
    ),
    "a component without a description": (
        {"images/components/yq/expect.yaml": ""},
        r"/images/components/yq/component.yaml:1:1: \(file\): cannot be read; ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_project_is_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    files, message = REFUSED[name]
    folder = projects.write(tmp_path / "project", files)
    found = refusal(folder)
    assert re.search(f"^{re.escape(str(folder))}{message}", found, re.MULTILINE), found


def test_pin_of_a_project_replaces_the_one_that_it_names(tmp_path: Path) -> None:
    pins = f'{PIN}    instead_of: "4.1.1"\n'
    loaded = project.load(projects.write_pins(tmp_path, pins))
    assert loaded.pins.components["criu"].version == "4.2"


def test_component_of_a_project_replaces_the_checkouts_if_it_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "images/components/criu"
    projects.write_pins(tmp_path, 'source: "packages"\n')
    folder.mkdir(parents=True)
    own = (ROOT / "images/components/criu/component.yaml").read_text()
    other = own.replace('licence: "GPL-2.0-only"', 'licence: "MIT"\nreplaces: "a fork"')
    (folder / "component.yaml").write_text(other)
    (folder / "expect.yaml").write_text((ROOT / "images/components/criu/expect.yaml").read_text())
    assert project.load(tmp_path).catalog.components["criu"].licence == "MIT"
    assert CHECKOUT.catalog.components["criu"].licence == "GPL-2.0-only"


@pytest.mark.parametrize("key", ["replaces", "instead_of"])
def test_checkout_replaces_nothing(key: str, checkout: Path) -> None:
    if key == "replaces":
        path = checkout / "images/components/runc/component.yaml"
        path.write_text(f'{RUNC}replaces: "x"\n')
    else:
        path = checkout / "versions.yaml"
        text = path.read_text()
        path.write_text(
            text.replace('    version: "4.1.1"', '    version: "4.1.1"\n    instead_of: "4"')
        )
    assert re.search(rf"{key}: replaces no (pin|folder); ", refusal(checkout))
