"""bundle notes a root whose Python modules are not compiled."""

import json
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.bundle import bytecode
from worker_images.node.cli import main
from worker_images.node.node import Node

FOLDER = "opt/torch/.venv/lib/python3.12/site-packages"


def install(rootfs: Path, folder: str, count: int, compiled: int = 0) -> None:
    """Create packages in a folder of a root; the first ones are compiled."""
    for number in range(count):
        package = rootfs / folder / f"package{number}"
        (package / "__pycache__").mkdir(parents=True)
        (package / "__init__.py").touch()
        if number < compiled:
            (package / "__pycache__/__init__.cpython-312.pyc").touch()


@pytest.mark.parametrize(
    "folder",
    [
        FOLDER,
        "usr/lib/python3/dist-packages",
        "usr/local/lib/python3.13/site-packages",
        "opt/conda/lib/python3.11/site-packages",
        "app/venv/lib/python3.12/site-packages",
        "root/.local/lib/python3.12/site-packages",
    ],
)
def test_packages_that_are_not_compiled_are_noted(folder: str, tmp_path: Path) -> None:
    install(tmp_path, folder, 12, compiled=2)
    assert bytecode.note(tmp_path).startswith(f"10 of 12 Python packages in /{folder} are not comp")


@pytest.mark.parametrize(("count", "compiled"), [(0, 0), (9, 0), (30, 16), (30, 30)])
def test_few_packages_and_compiled_ones_are_not_noted(
    count: int, compiled: int, tmp_path: Path
) -> None:
    install(tmp_path, FOLDER, count, compiled)
    assert not bytecode.note(tmp_path)


def test_folder_with_most_packages_is_noted(tmp_path: Path) -> None:
    install(tmp_path, "usr/lib/python3/dist-packages", 10)
    install(tmp_path, FOLDER, 40)
    install(tmp_path, "venv/lib/python3.12/site-packages", 90, compiled=90)
    assert bytecode.note(tmp_path).startswith(f"40 of 40 Python packages in /{FOLDER} ")


def test_bundle_prints_the_note(
    gpu: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.driver
    root = tmp_path / "root"
    install(root, FOLDER, 10)
    paths = ["--rootfs", str(root), "--into", str(tmp_path / "bundle")]
    assert main(["bundle", *paths, "--json", "--", "python3"], ROOT) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note == bytecode.note(root)
    assert "Run python3 -m compileall in the image" in note
