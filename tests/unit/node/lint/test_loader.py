"""The linter searches for libcuda as the loader of the container's image does."""

import platform
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import launchers
from tests.support.launchers import alpine, answers, arch, debian, red_hat, request
from tests.support.nodes import files
from worker_images.node import stand_in
from worker_images.node.lint import libraries, loader
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.lint import findings
from worker_images.node.node import Node

MULTIARCH = f"/usr/lib/{launchers.MULTIARCH}"
Make = Callable[[Path], Path]


# An image, the driver's folder in it, and the findings without LD_LIBRARY_PATH.
IMAGES: tuple[tuple[Make, str, list[str]], ...] = (
    (debian, MULTIARCH, []),
    (debian, f"/lib/{launchers.MULTIARCH}", []),
    (debian, "/usr/lib", []),
    (debian, "/usr/lib64", ["F5 error"]),
    (debian, "/usr/local/nvidia/lib64", ["F5 error"]),
    (red_hat, "/usr/lib64", []),
    (red_hat, "/lib64", []),
    (red_hat, MULTIARCH, ["F5 error"]),
    (red_hat, "/usr/local/nvidia/lib64", ["F5 error"]),
    (arch, "/usr/lib", []),
    (arch, MULTIARCH, ["F5 error"]),
    (alpine, "/usr/lib", ["F5 warning"]),
    (alpine, "/usr/lib64", ["F5 warning", "F5 error"]),
    (lambda root: root, MULTIARCH, ["F5 warning"]),
)


@pytest.mark.parametrize(("make", "folder", "expected"), IMAGES)
def test_folders_are_those_of_the_loader_in_the_image(
    make: Make, folder: str, expected: list[str], node: Node, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    found = request(node, make(root), folder)
    assert answers(found) == expected
    # LD_LIBRARY_PATH is searched whatever the image is.
    by_path = answers(replace(found, specification=request(node, root, "/n", "/n").specification))
    assert by_path == [each for each in expected if make is alpine and "warning" in each]


def test_container_without_a_gpu_needs_no_libcuda(node: Node, tmp_path: Path) -> None:
    """Nor does it need to find one that is there, or a loader for it."""
    for make in (debian, alpine):
        root = make(tmp_path / make.__name__)
        assert answers(request(node, root, "/usr/local/nvidia/lib64", linux={})) == []


def test_file_mounted_into_a_folder_of_the_loader_needs_its_link(
    node: Node, tmp_path: Path
) -> None:
    """As CDI mounts files; its hooks make the links."""
    found = request(node, debian(tmp_path / "root"), MULTIARCH)
    found.specification["mounts"].pop()
    assert answers(found) == ["F5 error"]
    args = ["nvidia-cdi-hook", "update-ldcache", f"--folder={MULTIARCH}"]
    hooks = {"createContainer": [{"path": "/bin/sh", "args": args}]}
    assert answers(replace(found, specification={**found.specification, "hooks": hooks})) == []
    later = {"createRuntime": hooks["createContainer"]}
    assert answers(replace(found, specification={**found.specification, "hooks": later})) == [
        "F5 error"
    ]


@pytest.mark.parametrize(("version", "expected"), [("570.86.15", []), ("590.48.01", ["F4 error"])])
def test_hook_that_runs_ldconfig_links_the_newest_libcuda(
    version: str, expected: list[str], node: Node, tmp_path: Path
) -> None:
    """As in an image with a libcuda of its own, in the folder in which CDI mounts the driver's."""
    root = debian(tmp_path / "root")
    files(root / f"usr/lib/{launchers.MULTIARCH}", f"libcuda.so.{version}")
    hooks = {"createContainer": [{"path": "/bin/sh", "args": ["update-ldcache"]}]}
    found = request(node, root, MULTIARCH, hooks=hooks)
    found.specification["mounts"].pop()
    assert answers(found) == expected


@pytest.mark.parametrize("words", [["--folder", "/opt/driver"], ["--folder=/opt/driver"]])
def test_hook_that_runs_ldconfig_adds_its_folders(
    words: list[str], node: Node, tmp_path: Path
) -> None:
    hooks = {"createContainer": [{"path": "/bin/sh", "args": ["update-ldcache", *words]}]}
    root = debian(tmp_path / "root")
    assert answers(request(node, root, "/opt/driver", hooks=hooks)) == []
    assert answers(request(node, root, "/opt/other", hooks=hooks)) == ["F5 error"]
    hooks["createContainer"][0]["args"] = ["update-ldcache", "--x", "/opt/other"]
    assert answers(request(node, root, "/opt/other", hooks=hooks)) == ["F5 error"]


def test_folder_in_the_configuration_is_searched_only_after_ldconfig(
    node: Node, tmp_path: Path
) -> None:
    """As images of nvidia/cuda name /usr/local/nvidia/lib64."""
    root = debian(tmp_path / "root")
    (root / "etc/ld.so.conf.d").mkdir(parents=True)
    (root / "etc/ld.so.conf").write_text("include ld.so.conf.d/*.conf\n")
    (root / "etc/ld.so.conf.d/nvidia.conf").write_text(
        "/opt/cuda # CUDA\n/usr/local/nvidia/lib64\n"
    )
    found = request(node, root, "/usr/local/nvidia/lib64")
    (finding,) = findings(found)
    assert (finding.rule, finding.severity) == ("F5", "warning")
    assert "is in /etc/ld.so.conf, but not in the loader's cache" in finding.problem
    hooks = {"createContainer": [{"path": "/bin/sh", "args": ["update-ldcache"]}]}
    assert answers(replace(found, specification={**found.specification, "hooks": hooks})) == []


def test_configuration_that_includes_itself_is_read_once_in_a_while(tmp_path: Path) -> None:
    files(tmp_path / "etc", "ld.so.conf")
    (tmp_path / "etc/ld.so.conf").write_text("include /etc/ld.so.conf\nhwcap 0 x\n\n/opt/x\n")
    found = loader._configured(ContainerFiles(tmp_path), loader.CONFIGURATION)  # noqa: SLF001
    assert {*found} == {"/opt/x"}


def test_cache_of_the_image_is_read(node: Node, tmp_path: Path) -> None:
    """ldconfig writes the cache of a folder with libcuda, and the mount is at that folder."""
    driver = node.libraries[0].parent
    node.libraries[0].write_bytes(stand_in.elf_library("libcuda.so.1"))
    (driver / "liba.so.1").write_bytes(stand_in.elf_library("liba.so.1"))
    root = debian(tmp_path / "root")
    (root / "etc").mkdir()
    (tmp_path / "conf").write_text(f"{driver}\n")
    command = ["/sbin/ldconfig", "-X", "-f", f"{tmp_path}/conf", "-C", f"{root}/etc/ld.so.cache"]
    subprocess.run(command, check=True)
    assert answers(request(node, root, str(driver))) == []
    data, flags = (root / "etc/ld.so.cache").read_bytes(), loader.LOADERS[launchers.MACHINE][1]
    assert [*loader._cached(data, flags)] == [f"{driver}/libcuda.so.1"]  # noqa: SLF001
    assert [*loader._cached(data, flags + 1)] == []  # noqa: SLF001
    (root / "etc/ld.so.cache").write_bytes((root / "etc/ld.so.cache").read_bytes()[:60])
    assert answers(request(node, root, str(driver))) == ["F5 error"]


def test_loader_of_this_machine_has_the_folders_that_it_prints(tmp_path: Path) -> None:
    program = Path("/", launchers.LOADER)
    output = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    lines = [line.partition(" (system search path)") for line in output.splitlines()]
    expected = tuple(before.strip() for before, found, _ in lines if found)
    target = tmp_path / launchers.LOADER
    target.parent.mkdir()
    target.write_bytes(program.read_bytes())
    assert expected
    assert loader._own(ContainerFiles(tmp_path), f"/{launchers.LOADER}") == (expected, "")  # noqa: SLF001


def test_loader_of_the_other_architecture_is_found(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    root = tmp_path / "root"
    files(root / "usr/lib/aarch64-linux-gnu", "libc.so.6", "ld-linux-aarch64.so.1")
    launchers.merged_usr(root)
    (root / "lib/ld-linux-aarch64.so.1").symlink_to("aarch64-linux-gnu/ld-linux-aarch64.so.1")
    assert answers(request(node, root, "/usr/lib/aarch64-linux-gnu")) == []
    assert answers(request(node, root, "/usr/lib/x86_64-linux-gnu")) == ["F5 error"]
    found = libraries.read(request(node, root, "/usr/local/nvidia/lib64"))
    assert found.loader.own[:2] == ("/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


def test_libc_alone_shows_the_folders(node: Node, tmp_path: Path) -> None:
    """As in an image whose loader has a path of its own."""
    files(tmp_path / f"root/lib/{launchers.MULTIARCH}", "libc.so.6")
    assert answers(request(node, tmp_path / "root", MULTIARCH)) == []
    assert answers(request(node, tmp_path / "root", "/usr/lib64")) == ["F5 error"]


# The place of a loader whose strings cannot be read, and its folders by the place.
PLACES = (
    ("/usr/lib64/ld.so", ("/lib64", "/usr/lib64")),
    ("/usr/lib/ld.so", ("/lib", "/usr/lib")),
    ("/nix/store/x-glibc/lib/ld.so", ("/lib", "/usr/lib")),
    ("/opt/x/ld.so", ()),
)


@pytest.mark.parametrize(("program", "expected"), PLACES)
def test_loader_without_strings_has_the_folders_of_its_place(
    program: str, expected: tuple[str, ...]
) -> None:
    assert loader._folders_beside(program) == expected  # noqa: SLF001


def test_musl_reads_its_own_file_of_folders(node: Node, tmp_path: Path) -> None:
    root = alpine(tmp_path / "root")
    files(root / "etc", "x")
    (root / f"etc/ld-musl-{launchers.MACHINE}.path").write_text("/opt/a:/opt/b\n")
    assert answers(request(node, root, "/opt/b")) == ["F5 warning"]
    assert answers(request(node, root, "/usr/lib")) == ["F5 warning", "F5 error"]
