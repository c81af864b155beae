"""The linter accepts valid specifications, flags and binaries."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.nodes import files
from tests.support.specifications import Change, add_mount, add_variable, change_device, changed
from worker_images.node.lint.lint import violations
from worker_images.node.lint.request import LaunchRequest

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
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "void")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "/var/run/nvidia-container-devices")),
    ((), add_variable("NVIDIA_VISIBLE_DEVICES", "7")),
    ((), change_device(1, major=0)),
    ((), change_device(2, type="u")),
    (
        (),
        lambda specification: specification.update(
            hooks={"prestart": [{"path": "/usr/bin/true"}], "poststop": None, "poststart": []}
        ),
    ),
    ((), lambda specification: specification["process"]["env"].append("EMPTY=")),
    ((), lambda specification: specification["mounts"].append({"destination": "/x"})),
    ((), lambda specification: specification.update(annotations={"dev.gvisor.flag.debug": "1"})),
    (
        ("--allow-rootfs-tar-annotation", "--nvproxy"),
        lambda specification: specification.update(
            annotations={
                "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.sandbox-id": "x",
                "io.kubernetes.cri-o.ContainerType": "sandbox",
                "dev.gvisor.spec.rootfs.source": "/x",
                "dev.gvisor.spec.rootfs.type": "bind",
                "dev.gvisor.spec.rootfs.overlay": "memory",
                "dev.gvisor.tar.rootfs.upper": "/x",
            }
        ),
    ),
    ((), lambda specification: specification["linux"].update(rootfsPropagation="rslave")),
    ((), lambda specification: specification["process"].update(oomScoreAdj=-998)),
    (
        (),
        lambda specification: specification["linux"].update(
            namespaces=[{"type": "user"}], uidMappings=[{"size": 1}], gidMappings=[{"size": 1}]
        ),
    ),
    (
        ("--network=host",),
        lambda specification: specification["linux"].update(uidMappings=[{"size": 1}]),
    ),
    ((), lambda each: each["linux"]["namespaces"].append({"type": "pid", "path": "/none"})),
)


def test_bundle_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(valid) == ()


@pytest.mark.parametrize(("flags", "change"), VALID_SPECIFICATIONS)
def test_valid_specification_has_no_violation(
    flags: tuple[str, ...], change: Change, valid: LaunchRequest
) -> None:
    assert violations(replace(changed(valid, change), flags=flags)) == ()


def test_container_without_a_gpu_has_no_violation(valid: LaunchRequest) -> None:
    process = {"args": ["true"], "env": None, "cwd": "/"}
    root = {"path": str(valid.root)}
    without = {"process": process, "root": root, "linux": None, "hooks": None, "mounts": None}
    assert violations(replace(valid, specification=without)) == ()


def test_executable_of_this_machine_has_no_violation(valid: LaunchRequest) -> None:
    assert violations(replace(valid, runsc=Path("/bin/sh").resolve())) == ()


def test_mounted_service_program_has_no_violation(valid: LaunchRequest, tmp_path: Path) -> None:
    program = tmp_path / "run/nvidia-persistenced"
    files(program.parent, program.name)
    assert violations(changed(valid, add_mount(str(program)))) == ()
