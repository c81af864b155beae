"""Rows of the doctor on kernel settings, the GPU and gVisor."""

from dataclasses import replace

import pytest

from tests.support.facts import GOOD, row
from worker_images.build.doctor import doctor
from worker_images.build.doctor.doctor import Row
from worker_images.model import kernel_settings
from worker_images.model.drivers.advice import LEGACY_NOTE, WITH_OTHER_PINS


@pytest.mark.parametrize(
    ("name", "bad", "good", "state"),
    [
        ("user.max_user_namespaces", 1, 2, "fault"),
        ("kernel.unprivileged_userns_clone", 0, 1, "fault"),
        ("kernel.apparmor_restrict_unprivileged_userns", 1, 0, "warning"),
        ("kernel.yama.ptrace_scope", 3, 2, "fault"),
        ("vm.max_map_count", 65529, 65530, "warning"),
    ],
)
def test_kernel_setting_is_reported_at_its_limit(
    name: str, bad: int, good: int, state: str
) -> None:
    assert row(replace(GOOD, kernel={name: good}), "kernel") == Row(
        "kernel", "ok", f"{name} {good}"
    )
    shown = row(replace(GOOD, kernel={**GOOD.kernel, name: bad}), "kernel")
    assert shown.state == state
    assert shown.found.startswith(f"{name} is {bad}: ")
    assert f" {name}=" in shown.fix


def test_fix_of_a_kernel_setting_is_a_good_value() -> None:
    for name, setting in kernel_settings.SETTINGS.items():
        assert int(setting.fix.format(name).split("=")[1].split()[0]) in setting.good


def test_gpu_is_ok_on_a_machine_without_one() -> None:
    found = doctor.rows(replace(GOOD, driver="", devices=()))
    assert [each for each in found if each.subject in {"gpu", "gvisor"}] == [
        Row("gpu", "ok", "no GPU on this machine: workload checks do not run")
    ]


@pytest.mark.parametrize(
    ("devices", "missing"),
    [
        (("nvidiactl", "nvidia0"), "/dev/nvidia-uvm"),
        (("nvidia-uvm", "nvidia-uvm-tools"), "/dev/nvidiactl, /dev/nvidia0"),
    ],
)
def test_gpu_is_a_warning_without_its_devices(devices: tuple[str, ...], missing: str) -> None:
    shown = row(replace(GOOD, devices=devices), "gpu")
    assert (shown.state, shown.found) == (
        "warning",
        f"NVIDIA driver 580.159.04, without {missing}",
    )
    assert shown.fix.startswith("nvidia-modprobe -u -c 0")


LOST = "(which does not serve 580.159.04 of the fleet)"
OLDER = "install driver 580.105.08 (not published for arm64)"


@pytest.mark.parametrize(
    ("driver", "state", "fix"),
    [
        ("535.129.03", "ok", ""),
        (
            "595.71.05",
            "warning",
            "install driver 590.48.01, or give runsc --nvproxy-allow-unsupported-driver",
        ),
        (
            "580.95.05",
            "fault",
            f"set gvisor.version to 20260420.0 {WITH_OTHER_PINS} {LOST}, or {OLDER}",
        ),
        (
            "610.57.04",
            "fault",
            f"set gvisor.version to 20260817.0 {WITH_OTHER_PINS}, or install driver 590.48.01",
        ),
        ("470.57", "fault", f"install driver 535.129.03{LEGACY_NOTE}"),
        (
            "540.4.0",
            "fault",
            "keep GPU sandboxes off this machine: no other driver can be installed on it",
        ),
    ],
)
def test_gvisor_row_depends_on_the_driver(driver: str, state: str, fix: str) -> None:
    shown = row(replace(GOOD, driver=driver), "gvisor")
    assert (shown.state, shown.fix) == (state, fix)
    assert driver in shown.found


def test_gvisor_is_a_warning_when_drivers_json_has_no_entry() -> None:
    shown = row(replace(GOOD, release="20990101.0"), "gvisor")
    assert (shown.state, shown.fix) == (
        "warning",
        "add it to images/components/gvisor/drivers.json",
    )
