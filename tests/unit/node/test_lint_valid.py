"""The linter accepts valid specifications, flags and binaries."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.specifications import Change, add_mount, add_variable, changed, move_driver
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.lint import violations

VALID_SPECIFICATIONS: tuple[tuple[tuple[str, ...], Change], ...] = (
    ((), add_variable("NVIDIA_DRIVER_CAPABILITIES", "all")),
    (
        ("--nvproxy-allowed-driver-capabilities=compute,utility,video",),
        add_variable("NVIDIA_DRIVER_CAPABILITIES", "compute,video"),
    ),
    (
        ("-nvproxy-allowed-driver-capabilities", "all"),
        add_variable("NVIDIA_DRIVER_CAPABILITIES", "graphics,video"),
    ),
    (("--nvproxy-docker=false", "--nvproxy-driver-version="), add_variable("A", "b")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "all")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "GPU-1c02, 1")),
    ((), move_driver("/usr")),
    (
        (),
        lambda specification: specification.update(
            hooks={"prestart": [{"path": "/usr/bin/true"}], "poststop": None}
        ),
    ),
    ((), lambda specification: specification["process"]["env"].append("NAMELESS")),
)


def test_bundle_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(valid) == ()


@pytest.mark.parametrize(("flags", "change"), VALID_SPECIFICATIONS)
def test_valid_specification_has_no_violation(
    flags: tuple[str, ...], change: Change, valid: LaunchRequest
) -> None:
    assert violations(replace(changed(valid, change), flags=flags)) == ()


def test_container_without_a_gpu_has_no_violation(valid: LaunchRequest) -> None:
    assert (
        violations(
            replace(
                valid, specification={"linux": {"devices": None}, "hooks": None, "mounts": None}
            )
        )
        == ()
    )


def test_ngx_is_never_allowed(valid: LaunchRequest) -> None:
    request = changed(valid, add_variable("NVIDIA_DRIVER_CAPABILITIES", "ngx"))
    assert [
        each.rule
        for each in violations(
            replace(request, flags=("--nvproxy-allowed-driver-capabilities=all,ngx",))
        )
    ] == ["F6"]


def test_executable_of_this_machine_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(replace(valid, runsc=Path("/bin/sh").resolve())) == ()


def test_mounted_service_program_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(changed(valid, add_mount("/usr/bin/nvidia-persistenced"))) == ()
