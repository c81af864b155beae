"""The linter reads roots that differ: a libcuda of CUDA's toolkit, another machine, EROFS."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import launchers
from tests.support.launchers import alpine, debian, libcuda
from tests.support.nodes import files
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.stand_in import DRIVER

MULTIARCH = f"/usr/lib/{launchers.MULTIARCH}"
FOLDER = "/usr/local/nvidia/lib64"
COMPAT, CACHE = "/usr/local/cuda/compat", {"args": ["nvidia-cdi-hook", "update-ldcache"]}
PREFER = {"args": ["nvidia-cdi-hook", "enable-cuda-compat"]}
EROFS = {"dev.gvisor.spec.rootfs.source": "/x", "dev.gvisor.spec.rootfs.type": "erofs"}


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., LaunchRequest]:
    """Return a container with a GPU, and libcuda and its link in a folder."""
    library = libcuda(tmp_path / "driver") / f"libcuda.so.{DRIVER}"
    node = Node(DRIVER, launchers.DEVICES, (library,), (), "a test")
    devices = [
        {"path": each.path, "type": "c", "major": each.major, "minor": each.minor}
        for each in node.devices[:3]
    ]

    def make(root: Path, folder: str, *pairs: str, **more: object) -> LaunchRequest:
        mounts = [
            {
                "source": f"{tmp_path}/driver/{name}",
                "destination": f"{folder}/{name}",
                "options": ["rbind", "ro"],
            }
            for name in (f"libcuda.so.{DRIVER}", "libcuda.so.1")
        ]
        specification = {
            "process": {"args": ["true"], "cwd": "/", "env": [*pairs]},
            "root": {"path": str(root)},
            "mounts": mounts,
            "linux": {"devices": devices},
            **more,
        }
        return LaunchRequest(specification, node)

    return make


Make = Callable[..., LaunchRequest]


def answers(found: LaunchRequest) -> list[str]:
    return [f"{each.rule} {each.severity}" for each in findings(found)]


def hooks(path: Path, *each: dict[str, Any]) -> dict[str, Any]:
    """Return hooks of the stage createContainer with a program that exists."""
    files(path.parent, path.name)
    path.chmod(0o755)
    return {"createContainer": [{"path": str(path), **hook} for hook in each]}


def test_stub_of_the_toolkit_is_an_error_only_if_it_is_loaded(
    request_of: Make, tmp_path: Path
) -> None:
    """CUDA's toolkit has only libcuda.so in it, which no program loads."""
    stubs = debian(tmp_path / "root") / "usr/local/cuda-12.9/lib64/stubs"
    files(stubs, "libcuda.so")
    path = f"LD_LIBRARY_PATH=/usr/local/cuda-12.9/lib64/stubs:{FOLDER}"
    found = request_of(tmp_path / "root", FOLDER, path)
    assert answers(found) == []
    (stubs / "libcuda.so.1").symlink_to("libcuda.so")
    (finding,) = findings(found)
    assert (finding.rule, finding.severity) == ("F4", "error")
    assert "a stub of the CUDA toolkit" in finding.problem


@pytest.mark.parametrize(
    ("version", "folder", "expected"),
    [
        ("590.48.01", COMPAT, ["F4 warning"]),
        ("590.48.01", "/opt/conda/cuda-compat", ["F4 warning"]),
        ("590.48.01", "/usr/local/cuda-13.1/compat/lib.real", ["F4 warning"]),
        ("590.48.01", "/opt/driver", ["F4 error"]),
        ("580.200.01", COMPAT, ["F4 error"]),
        ("550.54.15", COMPAT, ["F4 error"]),
    ],
)
def test_forward_compatibility_is_a_warning(
    version: str, folder: str, expected: list[str], request_of: Make, tmp_path: Path
) -> None:
    """It works with a libcuda of a later branch than the driver's."""
    root = debian(tmp_path / "root")
    libcuda(root / folder[1:], version)
    found = request_of(root, FOLDER, f"LD_LIBRARY_PATH={folder}:{FOLDER}")
    assert answers(found) == expected


def compatible(root: Path, version: str = "590.48.01") -> Path:
    """An image of nvidia/cuda, in which ldconfig has run."""
    libcuda(debian(root) / COMPAT[1:], version)
    files(root / "etc/ld.so.conf.d", "cuda.conf")
    files(root / "etc", "ld.so.cache")
    return root


def test_hook_prefers_a_newer_libcuda_of_the_image(request_of: Make, tmp_path: Path) -> None:
    program = tmp_path / "bin/hook"
    root = compatible(tmp_path / "root")
    assert answers(request_of(root, MULTIARCH, hooks=hooks(program, CACHE))) == []
    (finding,) = findings(request_of(root, MULTIARCH, hooks=hooks(program, PREFER, CACHE)))
    assert (finding.rule, finding.severity) == ("F4", "warning")
    assert f"{COMPAT}/libcuda.so.590.48.01, but the driver is {DRIVER}" in finding.problem
    path = f"LD_LIBRARY_PATH={MULTIARCH}"
    assert answers(request_of(root, MULTIARCH, path, hooks=hooks(program, PREFER, CACHE))) == []
    # Without update-ldcache the loader's cache stays the image's.
    assert answers(request_of(root, MULTIARCH, hooks=hooks(program, PREFER))) == []


@pytest.mark.parametrize("missing", ["etc/ld.so.cache", "etc/ld.so.conf.d", COMPAT[1:]])
def test_hook_prefers_no_libcuda_without_all_of_its_conditions(
    missing: str, request_of: Make, tmp_path: Path
) -> None:
    root = compatible(tmp_path / "root")
    found = request_of(root, MULTIARCH, hooks=hooks(tmp_path / "bin/hook", PREFER, CACHE))
    assert answers(found) == ["F4 warning"]
    path = root / missing
    path.unlink() if path.is_file() else shutil.rmtree(path)
    assert answers(found) == []


@pytest.mark.parametrize("versions", [["580.65.06"], ["570.86.15"], ["590.44.01", "590.48.01"]])
def test_hook_prefers_one_libcuda_of_a_later_branch(
    versions: list[str], request_of: Make, tmp_path: Path
) -> None:
    root = compatible(tmp_path / "root", versions[0])
    files(root / COMPAT[1:], *(f"libcuda.so.{version}" for version in versions))
    found = request_of(root, MULTIARCH, hooks=hooks(tmp_path / "bin/hook", PREFER, CACHE))
    assert answers(found) == []


def test_library_of_32_bits_is_passed_over(request_of: Make, tmp_path: Path) -> None:
    """As the loader does; a folder of the image may hold one for 32-bit programs."""
    folder = libcuda(debian(tmp_path / "root") / "usr/lib/i386-linux-gnu", "535.183.01")
    found = request_of(
        tmp_path / "root", FOLDER, f"LD_LIBRARY_PATH=/usr/lib/i386-linux-gnu:{FOLDER}"
    )
    assert answers(found) == ["F4 error"]
    (folder / "libcuda.so.535.183.01").write_bytes(b"\x7fELF\x01\x01\x01")
    assert answers(found) == []


OTHER = "aarch64" if launchers.MACHINE == "x86_64" else "x86_64"
OTHER_LOADER = "lib/ld-linux-aarch64.so.1" if OTHER == "aarch64" else "lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize("loader", [OTHER_LOADER, f"lib/ld-musl-{OTHER}.so.1"])
def test_image_for_another_machine_is_an_error(
    loader: str, request_of: Make, tmp_path: Path
) -> None:
    files((tmp_path / "root" / loader).parent, Path(loader).name)
    # As Red Hat's images of both machines have it.
    files(tmp_path / "root/lib64", "libc.so.6")
    found = request_of(tmp_path / "root", FOLDER, f"LD_LIBRARY_PATH={FOLDER}")
    (finding,) = findings(found)
    assert (finding.rule, finding.severity, finding.where) == ("F5", "error", "root.path")
    assert f"the image is for {OTHER}, but the node is {launchers.MACHINE}" in finding.problem


@pytest.mark.parametrize(("image", "expected"), [(debian, []), (alpine, ["F5 warning"])])
def test_image_with_loaders_of_two_machines_is_for_both(
    image: Callable[[Path], Path], expected: list[str], request_of: Make, tmp_path: Path
) -> None:
    root = image(tmp_path / "root")
    files((root / OTHER_LOADER).parent, Path(OTHER_LOADER).name)
    found = request_of(root, FOLDER, f"LD_LIBRARY_PATH={FOLDER}")
    assert answers(found) == expected


def test_root_of_erofs_is_not_the_folder(request_of: Make, tmp_path: Path) -> None:
    """runsc reads the image from the annotation's file; root.path may be empty or missing."""
    found = request_of(tmp_path / "missing", FOLDER, f"LD_LIBRARY_PATH={FOLDER}", annotations=EROFS)
    assert answers(found) == []
    without = replace(found, specification={**found.specification, "annotations": {}})
    assert answers(without) == ["F14 warning"]


def test_hooks_of_a_root_of_erofs_do_not_run(request_of: Make, tmp_path: Path) -> None:
    path, each = f"LD_LIBRARY_PATH={FOLDER}", hooks(tmp_path / "nvidia-cdi-hook", CACHE)
    root = debian(tmp_path / "root")
    found = request_of(root, FOLDER, path, hooks=each, annotations=EROFS)
    (finding,) = findings(found)
    assert (finding.rule, finding.severity) == ("F8", "warning")
    assert "does not run it with a root of EROFS" in finding.problem
    # The hook of another program need not exist.
    other = {"createContainer": [{"path": "/none/hook"}]}
    assert answers(request_of(root, FOLDER, path, hooks=other, annotations=EROFS)) == []
    assert answers(request_of(root, FOLDER, path, hooks=other)) == ["F14 error"]
    # Nor does it refresh the loader's cache.
    cached = request_of(root, MULTIARCH, hooks=each, annotations=EROFS)
    assert answers(cached) == ["F5 warning", "F8 warning"]


def test_hook_that_gives_gpus_is_refused_with_a_root_of_erofs(
    request_of: Make, tmp_path: Path
) -> None:
    legacy = {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}
    found = request_of(
        tmp_path, FOLDER, "NVIDIA_VISIBLE_DEVICES=all", hooks=legacy, annotations=EROFS
    )
    error = next(each for each in findings(found) if each.severity == "error")
    assert (error.rule, error.where) == ("F8", "annotations.dev.gvisor.spec.rootfs.type")
    none = request_of(
        tmp_path, FOLDER, f"LD_LIBRARY_PATH={FOLDER}", hooks=legacy, annotations=EROFS
    )
    assert answers(none) == ["F8 note"]
