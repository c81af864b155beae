"""Kernel settings that forbid sandboxes to users other than root."""

from pathlib import Path

import pytest

from worker_images.model import kernel_settings

SETTINGS = {
    "user/max_user_namespaces": "96365",
    "kernel/unprivileged_userns_clone": "1",
    "kernel/apparmor_restrict_unprivileged_userns": "0",
}


def stand_in(folder: Path, **changed: str) -> Path:
    """A folder in place of /proc/sys."""
    for name, value in (SETTINGS | changed).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return folder


def test_machine_that_allows_user_namespaces_forbids_nothing(tmp_path: Path) -> None:
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(stand_in(tmp_path))) == ""
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
    ],
)
def test_setting_that_forbids_user_namespaces_is_reported_with_its_fix(
    name: str, value: str, tmp_path: Path
) -> None:
    reason = kernel_settings.forbids_unprivileged(
        kernel_settings.values(stand_in(tmp_path, **{name: value}))
    )
    dotted = name.replace("/", ".")
    assert reason.startswith(
        f"{dotted} is {value}, so only root can create a sandbox on this machine;"
        f" sysctl -w {dotted}="
    )


def test_setting_that_affects_root_too_forbids_nothing(tmp_path: Path) -> None:
    folder = stand_in(tmp_path)
    (folder / "vm").mkdir()
    (folder / "vm/max_map_count").write_text("1")
    assert kernel_settings.values(folder)["vm.max_map_count"] == 1
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(folder)) == ""
