"""The linter finds a missing libcuda, and one of another driver."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.launchers import libcuda
from tests.support.nodes import files
from tests.support.specifications import add_mount, add_variable, changed, keep_mounts
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.lint import violations
from worker_images.node.lint.request import LaunchRequest
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
    found, source = violations(valid)
    assert (found.rule, found.where) == ("F4", "mounts")
    assert (source.rule, source.problem) == (
        "F14",
        f"{valid.node.libraries[0]} does not exist, with which runsc ends with EOF",
    )


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
    found = violations(replace(valid, specification=json.loads(text), host="/ho"))
    assert {each.rule for each in found} == {"F4", "F14"}


def test_libcuda_below_a_later_mount_is_hidden(valid: LaunchRequest, tmp_path: Path) -> None:
    """runsc mounts in the order of the specification, and opens the newest file at a path."""
    (tmp_path / "empty").mkdir()
    later = add_mount(f"{tmp_path}/empty", destination="/usr/local/nvidia")
    found = violations(changed(valid, later))
    assert [(each.rule, each.severity) for each in found] == [("F4", "error"), ("F14", "error")]
    assert "runsc ends with EOF" in found[1].problem
    earlier = changed(valid, later)
    earlier.specification["mounts"].insert(0, earlier.specification["mounts"].pop())
    assert violations(earlier) == ()


def test_file_of_a_later_mount_is_the_one_that_programs_see(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    """The folder of another driver comes after the files of this one."""
    libcuda(tmp_path / "other/lib64", "570.86.15")
    (tmp_path / f"other/lib64/libcuda.so.{DRIVER}").write_text("another")
    found = violations(
        changed(valid, add_mount(f"{tmp_path}/other", destination="/usr/local/nvidia"))
    )
    assert [(each.rule, each.severity) for each in found] == [
        ("F4", "error"),
        ("F14", "warning"),
    ]


def test_libcuda_above_a_tmpfs_of_the_sandbox_is_seen(valid: LaunchRequest) -> None:
    """runsc mounts a tmpfs in the sandbox, by the length of destinations."""
    tmpfs = {"destination": "/usr/local", "type": "tmpfs", "source": "tmpfs"}
    above = changed(valid, lambda specification: specification["mounts"].append(tmpfs))
    assert violations(above) == ()
    below = tmpfs | {"destination": "/usr/local/nvidia/lib64"}
    hidden = changed(valid, keep_mounts(lambda each: "libcuda" not in each["destination"]))
    driver = add_mount(str(valid.node.libraries[0].parent), destination="/usr/local/nvidia/lib64")
    covered = changed(changed(hidden, driver), lambda each: each["mounts"].append(below))
    assert [each.rule for each in violations(covered)] == ["F4"]


def test_mounted_loop_of_links_is_not_a_library(valid: LaunchRequest, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    request = changed(valid, add_mount(f"{tmp_path}/loop", destination="/lib/libcuda.so.1"))
    assert ContainerFiles.of(request).file("/lib/libcuda.so.1") is None


def test_loop_of_links_in_the_image_ends(valid: LaunchRequest, tmp_path: Path) -> None:
    (tmp_path / "rootfs/opt").symlink_to("/opt/opt")
    request = changed(valid, add_variable("LD_LIBRARY_PATH", "/opt:/usr/local/nvidia/lib64"))
    assert violations(request) == ()


def test_links_that_make_a_path_long_end(valid: LaunchRequest, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"rootfs/l{number}").symlink_to("./" * 500 + f"l{number + 1}/" * 100)
    found = ContainerFiles(valid.root).resolve("/l0")
    assert found.count("/") > 100


def test_libcuda_for_programs_without_cuda_is_a_warning(valid: LaunchRequest) -> None:
    request = changed(valid, keep_mounts(lambda each: "libcuda" not in each["destination"]))
    (found,) = violations(changed(request, add_variable("NVIDIA_DRIVER_CAPABILITIES", "utility")))
    assert (found.rule, found.severity) == ("F4", "warning")
    assert "only programs without CUDA work" in found.problem


def test_libcuda_without_a_version_in_its_name_is_a_warning(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    files(tmp_path / "rootfs/opt", "libcuda.so.1")
    path = add_variable("LD_LIBRARY_PATH", "/opt:/usr/local/nvidia/lib64")
    (found,) = violations(changed(valid, path))
    assert (found.rule, found.severity) == ("F4", "warning")
    assert "/opt/libcuda.so.1, whose name has no version" in found.problem


def test_root_of_a_driver_container_is_searched(valid: LaunchRequest, tmp_path: Path) -> None:
    """As the GPU operator has it at /run/nvidia/driver."""
    folder = libcuda(tmp_path / "driver/usr/lib/x86_64-linux-gnu").relative_to(tmp_path)
    mount = {"source": f"{tmp_path}/driver", "destination": "/driver", "options": ["rbind"]}
    request = changed(valid, lambda specification: specification.update(mounts=[mount]))
    assert violations(changed(request, add_variable("LD_LIBRARY_PATH", f"/{folder}"))) == ()
    (found,) = violations(request)
    assert found.problem.startswith(f"/{folder} is not in LD_LIBRARY_PATH")


def test_link_of_a_mounted_folder_is_followed_in_the_container(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    """As on NixOS, where /run/opengl-driver/lib has links to /nix/store."""
    store = libcuda(tmp_path / "store")
    (tmp_path / "opengl").mkdir()
    (tmp_path / "opengl/libcuda.so.1").symlink_to(store / "libcuda.so.1")
    mount = {"source": f"{tmp_path}/opengl", "destination": "/lib", "options": ["rbind"]}
    request = changed(valid, lambda specification: specification.update(mounts=[mount]))
    request = changed(request, add_variable("LD_LIBRARY_PATH", "/lib"))
    assert [each.rule for each in violations(request)] == ["F4"]
    shared = changed(request, add_mount(str(store), destination=str(store)))
    assert violations(shared) == ()


def test_libcuda_under_its_soname_alone_is_recognised_by_the_node(
    valid: LaunchRequest, tmp_path: Path
) -> None:
    """As containerd's CDI mounts a link of the node: the kernel follows it."""
    library = tmp_path / "one/libcuda.so.1"
    library.parent.mkdir()
    library.hardlink_to(valid.node.libraries[0])
    mount = {"source": str(library), "destination": "/x/libcuda.so.1", "options": ["bind"]}
    request = changed(valid, lambda specification: specification.update(mounts=[mount]))
    assert violations(changed(request, add_variable("LD_LIBRARY_PATH", "/x"))) == ()


@pytest.mark.parametrize(
    ("options", "rules"), [(["noexec"], ["F4"]), (["noexec", "exec"], []), (["nosuid"], [])]
)
def test_driver_on_a_mount_with_noexec_does_not_load(
    options: list[str], rules: list[str], valid: LaunchRequest
) -> None:
    """dlopen: failed to map segment from shared object."""

    def change(specification: dict[str, Any]) -> None:
        for mount in specification["mounts"]:
            if "libcuda.so" in mount["destination"]:
                mount["options"] = [*mount["options"], *options]

    found = violations(changed(valid, change))
    assert [each.rule for each in found] == rules
    assert all("noexec" in each.problem for each in found)
