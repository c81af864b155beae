"""The digest of a suite changes with its checks, and is the same in a GPU kit."""

import shutil
from pathlib import Path

import pytest

from worker_images.build import kit
from worker_images.files import ROOT
from worker_images.model import suite


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A checkout with two modules of a layer."""
    folder = tmp_path / "tests/pod/probes"
    folder.mkdir(parents=True)
    (folder.parent / "test_a.py").write_text("def test_a(): pass\n")
    (folder / "probe.py").write_text("")
    return tmp_path


def test_suite_of_a_missing_layer_is_empty(tmp_path: Path) -> None:
    assert suite.digest(tmp_path, "image") == ""
    assert suite.digest(ROOT, "image") != ""


def test_suite_changes_with_each_file(layer: Path) -> None:
    found = {suite.digest(layer, "pod")}
    (layer / "tests/pod/test_a.py").write_text("def test_a(): assert True\n")
    found.add(suite.digest(layer, "pod"))
    (layer / "tests/pod/probes/probe.py").write_text("1\n")
    found.add(suite.digest(layer, "pod"))
    (layer / "tests/pod/test_b.py").write_text("")
    found.add(suite.digest(layer, "pod"))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("name", "pattern"), [(name, each) for name in suite.SHARED for each in suite.SHARED[name]]
)
def test_suite_changes_with_a_shared_file(name: str, pattern: str, tmp_path: Path) -> None:
    patterns = (f"tests/{name}/**/*.py", *suite.SHARED[name])
    for source in (path for each in patterns for path in ROOT.glob(each)):
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    before = suite.digest(tmp_path, name)
    assert before == suite.digest(ROOT, name)
    with next(tmp_path.glob(pattern)).open("a") as file:
        file.write("\n")
    assert suite.digest(tmp_path, name) != before


def test_suite_of_the_workload_has_every_room_of_the_node_but_verify() -> None:
    rooms = {path.parent for path in (ROOT / "worker_images/node").rglob("*.py")}
    found = {path.parent for pattern in suite.NODE for path in ROOT.glob(pattern)}
    assert rooms - found == {ROOT / "worker_images/node/verify"}


@pytest.mark.parametrize("layer", ["workload", "pod"])
def test_kit_has_the_same_suite(layer: str, tmp_path: Path) -> None:
    """A GPU node's results are compared with the checkout by this digest."""
    for path in (path for pattern in kit.PARTS for path in ROOT.glob(pattern) if path.is_file()):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert suite.digest(tmp_path, layer) == suite.digest(ROOT, layer) != ""
