"""The linter follows LD_LIBRARY_PATH, and links of the container and of the node."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import launchers
from tests.support.launchers import answers, debian, libcuda, request
from worker_images.node.lint.lint import findings
from worker_images.node.node import Node

MULTIARCH = f"/usr/lib/{launchers.MULTIARCH}"
Make = Callable[[Path], Path]


# Forms of LD_LIBRARY_PATH that name /usr/local/nvidia/lib64, and some that do not.
PATHS: tuple[tuple[str, list[str]], ...] = (
    ("/usr/local/nvidia/lib64/", []),
    ("//usr//local/./nvidia/lib64", []),
    ("/opt/x:/usr/local/nvidia/lib:/usr/local/nvidia/lib64", []),
    ("/opt/x;/usr/local/nvidia/lib64", []),
    (":/usr/local/nvidia/lib64:", []),
    ("$LD_LIBRARY_PATH:/usr/local/nvidia/lib64", []),
    ("usr/local/nvidia/lib64", []),
    ("/opt/link", []),
    ("/opt/../usr/local/nvidia/lib64", []),
    ("/opt/link/../lib64", []),
    ("/../../usr/local/nvidia/lib64", []),
    ("/opt/lib64/../link/..", ["F5 error"]),
    ("/usr/local/nvidia/lib64:$LD_LIBRARY_PATH", []),
    ("/usr/local/nvidia/lib", ["F5 error"]),
    ("/usr/local/nvidia", ["F5 error"]),
    ("/usr/local/nvidia/lib64/libcuda.so.1", ["F5 error"]),
    (":", ["F5 error"]),
)


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_path_is_read_as_the_loader_does(
    path: str, expected: list[str], node: Node, tmp_path: Path
) -> None:
    root = debian(tmp_path / "root")
    (root / "opt").mkdir()
    (root / "opt/link").symlink_to("/usr/local/nvidia/lib64")
    assert answers(request(node, root, "/usr/local/nvidia/lib64", path)) == expected


def test_last_value_of_a_repeated_variable_counts(node: Node, tmp_path: Path) -> None:
    """runsc makes the environment from the last values."""
    found = request(node, debian(tmp_path / "root"), "/n", "/n")
    found.specification["process"]["env"].append("LD_LIBRARY_PATH=/other")
    assert answers(found) == ["F5 error"]


def test_mount_at_a_link_of_the_image_is_behind_the_link(node: Node, tmp_path: Path) -> None:
    root = debian(tmp_path / "root")
    (root / "opt").symlink_to("/data")
    assert answers(request(node, root, "/opt/driver", "/data/driver")) == []


def test_root_that_is_a_link_of_the_node_is_read_and_refused(node: Node, tmp_path: Path) -> None:
    """runsc finds another path behind its mounts, and ends."""
    debian(tmp_path / "root")
    (tmp_path / "link").symlink_to("root")
    linked = request(node, tmp_path / "link", "/usr/local/nvidia/lib64")
    assert answers(linked) == ["F5 error", "F14 error"]
    assert answers(request(node, tmp_path / "link", MULTIARCH)) == ["F14 error"]
    (found,) = findings(request(node, tmp_path / "link", MULTIARCH))
    assert found.step == f"write {tmp_path}/root"
    without = {**linked.specification, "mounts": [], "linux": {}}
    assert answers(replace(linked, specification=without)) == []


def test_mount_whose_source_is_a_link_of_the_node_is_its_target(node: Node, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(node.libraries[0].parent)
    found = request(node, debian(tmp_path / "root"), "/n", "/n")
    mount = {"source": f"{tmp_path}/current", "destination": "/n", "options": ["rbind"]}
    assert answers(replace(found, specification={**found.specification, "mounts": [mount]})) == []


def test_absolute_link_of_the_image_is_not_followed_on_the_node(node: Node, tmp_path: Path) -> None:
    """A link to a folder that only the node has leads nowhere in the container."""
    root = debian(tmp_path / "root")
    libcuda(tmp_path / "outside", "550.54.15")
    (root / "compat").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("../../../../../../../../outside")
    path = f"/compat:/up:/n:{tmp_path}/outside"
    assert answers(request(node, root, "/n", path)) == []


def test_tmpfs_hides_what_the_image_has(node: Node, tmp_path: Path) -> None:
    root = debian(tmp_path / "root")
    libcuda(root / "opt/compat", "550.54.15")
    found = request(node, root, "/n", "/opt/compat:/n")
    assert answers(found) == ["F4 error"]
    found.specification["mounts"].append({"destination": "/opt", "type": "tmpfs"})
    assert answers(found) == []
