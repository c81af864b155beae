"""Pins that do not serve the fleet stop a build before it begins."""

from pathlib import Path

import pytest

from worker_images.cli import main
from worker_images.errors import DocumentError, PolicyError
from worker_images.files import ROOT
from worker_images.model import project

LOSES = ('"20260622.0', '"20260511.0')


FLEET = '["535.129.03", "580.159.04"]'


def allowing(*entries: str) -> tuple[str, str]:
    """An edit that adds entries to allow_unserved."""
    rows = ", ".join(f'{{driver: "{driver}", reason: "drained"}}' for driver in entries)
    return FLEET, f"{FLEET}\n  allow_unserved: [{rows}]"


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """A copy of the committed pins with edits."""
    text = (ROOT / "versions.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "versions.yaml"
    path.write_text(text)
    return path


def test_committed_pins_pass() -> None:
    assert project.load(ROOT).pins.fleet.allow_unserved == ()


def test_pin_that_loses_a_fleet_driver_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(tmp_path, LOSES)
    code = main.main(["--variant", "slim", "--print", "plan", "--versions", str(path)], ROOT)
    printed = capsys.readouterr()
    assert (code, printed.out) == (7, "")
    line, column = next(
        (number, line.index('"580.159.04"') + 1)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if FLEET in line
    )
    assert (
        f"{path}:{line}:{column}: fleet.drivers[1]: 580.159.04 is not served by gvisor.version"
        " 20260511.0" in printed.err
    )
    assert "first served in 20260608.0" in printed.err
    assert (
        "set gvisor.version to 20260817.0 with its other pins (./build.py update --write, or"
        " all four by hand)" in printed.err
    )
    assert 'fleet.allow_unserved: [{driver: "580.159.04", reason: "..."}]' in printed.err


def test_version_changed_without_its_other_pins_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DocumentError,
        match=r"packages.describe: 20260622.0-46-g879cb2dc2 is not of gvisor.version 20260817.0",
    ) as error:
        project.load(ROOT, edited(tmp_path, ('"20260622.0"', '"20260817.0"')))
    assert "with its other pins (./build.py update --write, or all four by hand)" in str(
        error.value
    )
    assert project.load(ROOT, edited(tmp_path, ('"20260622.0', '"20260817.0')))


@pytest.mark.parametrize(
    ("describe", "valid"),
    [("", True), ("-46-g879cb2dc2", True), ("-go.a81fd9dd382e", True), ("1-46-g8", False)],
)
def test_describe_must_begin_with_the_release(describe: str, valid: bool, tmp_path: Path) -> None:
    path = edited(tmp_path, ('"20260622.0-46-g879cb2dc2"', f'"20260622.0{describe}"'))
    if valid:
        assert project.load(ROOT, path)
    else:
        with pytest.raises(DocumentError, match=r"is not of gvisor\.version"):
            project.load(ROOT, path)


def test_suggested_release_serves_the_rest_of_the_fleet(tmp_path: Path) -> None:
    """The suggestion is the newest release that serves every driver which must be served."""
    edits = [
        (
            FLEET,
            (
                '["525.60.13", "535.161.07", "535.129.03"]\n  allow_unserved: [{driver:'
                ' "525.60.13", reason: "drained"}]'
            ),
        )
    ]
    with pytest.raises(
        PolicyError, match=r"535.161.07 is not served.*set gvisor.version to 20240826.0 with"
    ):
        project.load(ROOT, edited(tmp_path, *edits))


def test_every_unserved_driver_is_listed(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as error:
        project.load(ROOT, edited(tmp_path, ('"20260622.0', '"20250407.0')))
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "fleet.drivers[0]",
        "fleet.drivers[1]",
    ]
    assert "dropped in 20240916.0, back in 20250611.0" in str(error.value)


def test_driver_allowed_with_a_reason_passes(tmp_path: Path) -> None:
    pinned = project.load(ROOT, edited(tmp_path, LOSES, allowing("580.159.04")))
    assert [each.driver for each in pinned.pins.fleet.allow_unserved] == ["580.159.04"]


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            [allowing("580.159.04")],
            r"fleet.allow_unserved\[0\].driver: 580.159.04 does not need an exception",
        ),
        (
            [LOSES, allowing("580.159.04", "550.54.14")],
            r"fleet.allow_unserved\[1\].driver: 550.54.14 is not a driver of the fleet",
        ),
        (
            [LOSES, allowing("580.159.04", "580.159.04")],
            r"fleet.allow_unserved\[1\].driver: 580.159.04 is listed twice",
        ),
        (
            [LOSES, allowing("580.159.04"), ('"drained"', '""')],
            r"fleet.allow_unserved\[0\].reason: '' is not allowed",
        ),
        (
            [LOSES, allowing("580.159.04"), (', reason: "drained"', "")],
            r"fleet.allow_unserved\[0\].reason: missing",
        ),
    ],
)
def test_unused_or_invalid_exception_is_an_error(
    edits: list[tuple[str, str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DocumentError, match=message) as error:
        project.load(ROOT, edited(tmp_path, *edits))
    assert error.value.exit_code == 2


def test_release_missing_from_the_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        PolicyError, match=r"components.gvisor.version: 20990101.0 is not in the table of drivers"
    ) as error:
        project.load(ROOT, edited(tmp_path, ('"20260622.0', '"20990101.0')))
    assert "by hand), or add an entry to images/components/gvisor/drivers.json" in str(error.value)
