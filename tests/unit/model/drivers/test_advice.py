"""Advice for a driver that a release does not serve: one function, for every kind of machine."""

import pytest

from tests.support.drivers import TABLE, row
from worker_images.model.drivers import kernel
from worker_images.model.drivers.advice import WITH_OTHER_PINS, advise


def test_spans_are_named_with_their_gaps() -> None:
    advice = advise("535.129.03", TABLE, row("20250407.0"), fleet=())
    assert advice.text == (
        "gVisor releases 20231204.0 to 20240826.0 and 20250611.0 to 20260817.0 serve 535.129.03"
        f" (dropped in 20240916.0, back in 20250611.0); set gvisor.version to 20260817.0"
        f" {WITH_OTHER_PINS}, or install driver 535.183.01"
    )


def test_another_release_keeps_the_fleet_or_names_what_it_loses() -> None:
    kept = advise("535.309.01", TABLE, row("20260511.0"), fleet=("580.159.04",))
    assert kept.fixes[0] == f"set gvisor.version to 20260817.0 {WITH_OTHER_PINS}"
    lost = advise("580.95.05", TABLE, row("20260622.0"), fleet=("580.159.04",))
    assert lost.fixes[0].endswith("(which does not serve 580.159.04 of the fleet)")
    assert advise("580.95.05", TABLE, row("20260622.0")).fixes[0] == lost.fixes[0]


@pytest.mark.parametrize(
    ("driver", "release", "architecture", "named"),
    [
        ("570.133.19", "20260622.0", "amd64", "570.133.20"),
        ("570.133.19", "20260622.0", "arm64", "570.172.08"),
        ("580.105.07", "20260622.0", "arm64", "580.126.09"),
        ("550.90.11", "20260622.0", "arm64", "570.172.08"),
        ("620.05.00", "20260817.0", "arm64", "620.06.00"),
        ("620.05.00", "20260817.0", "amd64", "615.62.00"),
    ],
)
def test_nearest_driver_exists_for_the_architecture(
    driver: str, release: str, architecture: str, named: str
) -> None:
    advice = advise(driver, TABLE, row(release), fleet=(), architecture=architecture)
    assert advice.fixes[-1] == f"install driver {named}"


def test_known_driver_gets_the_flag() -> None:
    advice = advise("565.57.01", TABLE, row("20260622.0"))
    assert advice.fixes[-1] == "give runsc --nvproxy-allow-unsupported-driver"
    assert "--nvproxy" not in advise("565.57.01", TABLE, row("20260608.0")).step
    unknown = advise("565.57.01", TABLE)
    assert unknown.fixes[-1].endswith("(releases 20260615.0 to 20260817.0)")


def test_vgpu_guest_gets_no_other_driver() -> None:
    advice = advise("580.95.05", TABLE, row("20260622.0"), kind=kernel.VGPU)
    assert "install driver" not in advice.step
    assert "change the host's vGPU software" in advice.step


@pytest.mark.parametrize("kind", [kernel.L4T, kernel.WSL, kernel.NO_MODULE])
def test_machine_that_no_release_serves_gets_its_reason_alone(kind: str) -> None:
    advice = advise("555.99.00", TABLE, row("20260622.0"), kind=kind)
    assert len(advice.fixes) == 1
    assert "gvisor.version" not in advice.text
    assert "install driver" not in advice.text


def test_served_driver_has_no_reason() -> None:
    assert advise("580.159.04", TABLE, row("20260622.0")).why == ""


def test_old_branch_names_gpus_that_have_no_newer_driver() -> None:
    for driver, is_legacy in (("470.256.02", True), ("390.157", True), ("525.60.11", False)):
        step = advise(driver, TABLE, row("20260622.0")).step
        assert "install driver" in step
        assert ("GPUs older than Maxwell have no newer driver" in step) == is_legacy


@pytest.mark.parametrize(
    ("driver", "is_windows"),
    [
        ("553.62", True),
        ("572.16", True),
        ("495.46", False),
        ("550.67", False),
        ("580.142", False),
        ("550.144.03", False),
    ],
)
def test_driver_for_windows_is_named(driver: str, is_windows: bool) -> None:
    """Drivers for Linux can have two parts as well: the branch says more."""
    for release in (row("20260622.0"), None):
        advice = advise(driver, TABLE, release)
        assert ("a driver for Windows" in advice.why) == is_windows
        assert ("install" in advice.step) != is_windows
    assert advise("615.62", TABLE, row("20260622.0")).why.startswith("first served in ")
