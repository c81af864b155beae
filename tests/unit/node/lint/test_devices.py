"""The linter knows which device nodes runsc serves, leaves out, and refuses."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.launchers import answers
from tests.support.specifications import add_device, changed
from worker_images.node.lint.lint import findings, violations
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.lint.rules import devices as device_rules
from worker_images.node.node import Device

CAPS, CHANNEL = "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels/channel0"
IMEX_FLAG = "--nvproxy-allowed-driver-capabilities=compute,utility,fabric-imex-mgmt"


# A device that runsc does not serve, flags, and the finding.
UNSERVED: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    ("/dev/nvidia-uvm-tools", (), ["F7 note"]),
    ("/dev/nvidia-modeset", (), ["F7 note"]),
    ("/dev/nvidia-nvswitchctl", (), ["F7 note"]),
    ("/dev/nvidia0-copy", (), ["F7 note"]),
    ("/dev/dri/card1", (), ["F7 note"]),
    ("/dev/dri/renderD128", (), ["F7 note"]),
    (CHANNEL, (), ["F7 note"]),
    (f"{CAPS}/nvidia-cap1", (), ["F7 note"]),
    (f"{CAPS}/nvidia-cap2", (), ["F7 note"]),
    (f"{CAPS}/nvidia-cap21", (), ["F9 error"]),
    (f"{CAPS}/nvidia-cap3", (IMEX_FLAG,), ["F7 note"]),
    ("/dev/fuse", (), []),
    ("/dev/net/tun", (), []),
)


@pytest.mark.parametrize(("path", "flags", "expected"), UNSERVED)
def test_device_that_runsc_leaves_out_is_a_note(
    path: str, flags: tuple[str, ...], expected: list[str], valid: LaunchRequest
) -> None:
    assert answers(replace(changed(valid, add_device(path=path)), flags=flags)) == expected


def devices(*paths: str) -> Callable[[dict[str, Any]], None]:
    def change(specification: dict[str, Any]) -> None:
        linux = specification["linux"]
        linux["devices"] = [each for each in linux["devices"] if each["path"] in paths]

    return change


CONTROL, MEMORY, GPU = "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"
SETS: tuple[tuple[tuple[str, ...], list[str]], ...] = (
    ((CONTROL, MEMORY, GPU), []),
    ((CONTROL, MEMORY), []),
    ((CONTROL,), []),
    ((), ["F10 note"]),
    ((MEMORY,), ["F7 error"]),
    ((CHANNEL,), ["F7 error", "F7 note"]),
    ((CONTROL, GPU), ["F7 error"]),
    ((MEMORY, GPU), ["F7 error"]),
    ((GPU,), ["F7 error", "F7 error"]),
)


@pytest.mark.parametrize(("paths", "expected"), SETS)
def test_devices_are_complete(
    paths: tuple[str, ...], expected: list[str], valid: LaunchRequest
) -> None:
    valid.specification["linux"]["devices"].append(
        {"path": CHANNEL, "type": "c", "major": 506, "minor": 0}
    )
    assert answers(changed(valid, devices(*paths))) == expected


def test_device_without_the_control_device_is_valid_with_nvproxy(valid: LaunchRequest) -> None:
    request = changed(valid, devices(MEMORY))
    assert answers(replace(request, flags=("--nvproxy",))) == []


@pytest.mark.parametrize("numbers", [(195, 4), (194, 0)])
def test_device_under_another_name_is_an_error(
    numbers: tuple[int, int], valid: LaunchRequest
) -> None:
    """As docker run --device /dev/nvidia4:/dev/nvidia0 gives it to a worker."""
    request = changed(valid, devices(CONTROL, MEMORY, GPU))
    request.specification["linux"]["devices"][2] |= {"major": numbers[0], "minor": numbers[1]}
    renamed = [Device(GPU, *numbers) if each.path == GPU else each for each in valid.node.devices]
    (found,) = findings(replace(request, node=replace(valid.node, devices=tuple(renamed))))
    assert found.severity == "error"
    assert "nvproxy serves only c 195:0 under this name" in found.problem


# The mode of devices, their owner and group, the process's user, and whether it may open them.
MODES: tuple[tuple[int | None, int, int, dict[str, object], bool], ...] = (
    (None, 0, 0, {"uid": 1000, "gid": 1000}, True),
    (0o666, 0, 0, {"uid": 1000, "gid": 1000}, True),
    (0o660, 0, 0, {"uid": 1000, "gid": 1000}, False),
    (0o660, 0, 44, {"uid": 1000, "gid": 1000, "additionalGids": [44]}, True),
    (0o660, 0, 1000, {"uid": 1000, "gid": 1000}, True),
    (0o600, 1000, 0, {"uid": 1000, "gid": 1000}, True),
    (0o444, 0, 0, {"uid": 1000}, False),
    (0o066, 1000, 0, {"uid": 1000}, False),
    (0o600, 0, 0, {}, True),
    (0, 0, 0, {"uid": 0}, False),
)


@pytest.mark.parametrize(("mode", "uid", "gid", "user", "expected"), MODES)
def test_device_opens_for_the_user_of_the_process(
    mode: int | None,
    uid: int,
    gid: int,
    user: dict[str, object],
    expected: bool,
    valid: LaunchRequest,
) -> None:
    """runsc checks the mode of its own device nodes; each of these was tried with runsc."""

    def change(specification: dict[str, Any]) -> None:
        specification["process"] |= {"user": user, "capabilities": {}}
        specification["linux"]["devices"][2] |= {"fileMode": mode, "uid": uid, "gid": gid}

    request = changed(valid, change)
    assert answers(request) == ([] if expected else ["F7 error"])
    able = {"capabilities": {"effective": ["CAP_DAC_OVERRIDE"]}}
    assert answers(changed(request, lambda each: each["process"].update(able))) == []


def test_device_that_is_listed_twice_is_valid(valid: LaunchRequest) -> None:
    assert (
        answers(
            changed(
                valid, lambda each: each["linux"]["devices"].extend(each["linux"]["devices"][:1])
            )
        )
        == []
    )


def test_root_on_a_file_system_without_devices_opens_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags, expected in ((os.ST_NODEV | os.ST_NOSUID, False), (os.ST_NOSUID, True)):
        found = SimpleNamespace(f_flag=flags)
        monkeypatch.setattr(os, "statvfs", lambda _, found=found: found)
        assert device_rules._opens_devices(tmp_path) is expected  # noqa: SLF001


def test_root_that_does_not_exist_opens_none() -> None:
    assert not device_rules._opens_devices(Path("/none"))  # noqa: SLF001


@pytest.mark.parametrize(
    ("value", "expected"), [("utility", []), ("compute", ["F7 error"]), ("", ["F7 error"])]
)
def test_memory_device_is_needed_only_for_cuda(
    value: str, expected: list[str], valid: LaunchRequest
) -> None:
    """nvidia-smi works without it."""

    def change(specification: dict[str, Any]) -> None:
        devices(CONTROL, GPU)(specification)
        specification["process"]["env"].append(f"NVIDIA_DRIVER_CAPABILITIES={value}")

    assert answers(changed(valid, change)) == expected


def test_mode_that_was_written_as_an_octal_number_is_shown(valid: LaunchRequest) -> None:
    """666 in JSON is 01232, with which no group helps."""

    def change(specification: dict[str, Any]) -> None:
        user = {"user": {"uid": 1000, "gid": 0}, "capabilities": {}}
        specification["process"] |= user
        specification["linux"]["devices"][2] |= {"fileMode": 666}

    (found,) = violations(changed(valid, change))
    assert found.problem.endswith("by its fileMode 0o1232")
    assert found.step == "use fileMode 438, which is 0666 in JSON's decimal numbers"
