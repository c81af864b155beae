"""The linter finds a missing libcuda, and one of another driver."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.specifications import add_mount, add_variable, changed
from worker_images.node import loader
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.lint import violations
from worker_images.node.stand_in import DRIVER


def test_libcuda_of_another_driver_is_named(valid: LaunchRequest) -> None:
    (found,) = violations(replace(valid, node=replace(valid.node, driver="590.48.01")))
    only = f"/usr/local/nvidia/lib64/libcuda.so.{DRIVER}"
    assert (found.rule, found.problem) == (
        "F4",
        f"devices, but no mount of libcuda.so.590.48.01, only {only}",
    )


def test_older_libcuda_that_is_loaded_first_is_a_violation(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    compat = tmp_path / "rootfs/usr/local/cuda/compat"
    compat.mkdir(parents=True)
    (compat / "libcuda.so.570.124.06").write_bytes(b"another")
    (compat / "libcuda.so.1").symlink_to("libcuda.so.570.124.06")
    (found,) = violations(
        changed(
            valid, add_variable("LD_LIBRARY_PATH", "/usr/local/cuda/compat:/usr/local/nvidia/lib64")
        )
    )
    assert found.rule == "F4"
    assert (
        found.problem
        == "libcuda.so.1 is /usr/local/cuda/compat/libcuda.so.570.124.06, but the driver is"
        f" {DRIVER}"
    )
    assert (
        violations(
            changed(
                valid,
                add_variable("LD_LIBRARY_PATH", "/usr/local/nvidia/lib64:/usr/local/cuda/compat"),
            )
        )
        == ()
    )


def test_mount_of_a_missing_file_is_a_violation(valid: LaunchRequest) -> None:
    valid.node.libraries[0].unlink()
    (found,) = violations(valid)
    assert (found.rule, found.where) == ("F4", "mounts")


@pytest.mark.parametrize(("links", "rules"), [(("libcuda.so.1",), []), ((), ["F5"])])
def test_mounted_folder_needs_a_soname_link(
    links: tuple[str, ...], rules: list[str], valid: LaunchRequest, tmp_path: Path
) -> None:
    """The folder is laid out as by a cloud's device plugin."""
    for name in links:
        (tmp_path / "files" / name).symlink_to(f"libcuda.so.{DRIVER}")
    folder = {
        "source": str(tmp_path / "files"),
        "destination": "/usr/local/nvidia/lib64",
        "options": ["rbind", "ro"],
    }
    request = changed(valid, lambda specification: specification.update(mounts=[folder]))
    assert [found.rule for found in violations(request)] == rules


def test_mount_sources_are_resolved_below_the_host_root(valid: LaunchRequest) -> None:
    text = json.dumps(valid.specification).replace('"source": "/', '"source": "/host/')
    assert violations(replace(valid, specification=json.loads(text), host="/host")) == ()
    assert [
        found.rule
        for found in violations(replace(valid, specification=json.loads(text), host="/ho"))
    ] == ["F4"]


def test_libcuda_below_a_later_mount_is_hidden(valid: LaunchRequest, tmp_path: Path) -> None:
    """Mounts are applied by the length of their destinations; of equal ones the last counts."""
    driver = next(path for path in loader.files(valid) if path.endswith(DRIVER))
    (tmp_path / "empty").mkdir()
    over = {"destination": driver.rpartition("/")[0]}
    below = changed(valid, add_mount(f"{tmp_path}/empty", **over))
    assert driver in loader.files(below)
    again = changed(valid, add_mount(f"{tmp_path}/empty", destination=driver))
    assert driver not in loader.files(again)


def test_mounted_loop_of_links_is_not_a_library(valid: LaunchRequest, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    request = changed(valid, add_mount(f"{tmp_path}/loop", destination="/lib/libcuda.so.1"))
    assert not loader.resolve("/lib/libcuda.so.1", loader.files(request))
