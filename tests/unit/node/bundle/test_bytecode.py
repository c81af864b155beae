"""bundle notes a root whose Python modules are not compiled."""

import json
import subprocess
import sys
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
        "usr/local/lib/python3.12/site-packages",
        "opt/conda/lib/python3.12/site-packages",
        "app/venv/lib/python3.12/site-packages",
        "root/.local/lib/python3.12/site-packages",
        "usr/local/lib64/python3.12/site-packages",
        "opt/conda/envs/serve/lib/python3.12/site-packages",
        "root/.pyenv/versions/3.12.1/lib/python3.12/site-packages",
        "miniconda3/lib/python3.12/site-packages",
        "usr/src/.venv/lib/python3.12/site-packages",
    ],
)
def test_packages_that_are_not_compiled_are_noted(folder: str, tmp_path: Path) -> None:
    install(tmp_path, folder, 12, compiled=2)
    assert bytecode.note(tmp_path).startswith(f"10 of 12 Python packages in /{folder} are not comp")


def test_command_of_the_note_compiles_the_packages(tmp_path: Path) -> None:
    folder = f"venv/lib/python3.{sys.version_info.minor}/site-packages"
    install(tmp_path, folder, 10)
    command = bytecode.note(tmp_path).partition("Run in the image: python3 ")[2].split()
    command[-1] = f"{tmp_path}{command[-1]}"
    subprocess.run([sys.executable, *command], check=True)
    assert not bytecode.note(tmp_path)


def test_modules_of_another_python_are_not_compiled(tmp_path: Path) -> None:
    install(tmp_path, FOLDER.replace("3.12", "3.11"), 10, compiled=10)
    assert bytecode.note(tmp_path).startswith("10 of 10 Python packages")


def test_cache_that_this_user_may_not_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, FOLDER, 10)
    monkeypatch.setattr("os.access", lambda path, _: path.name != "__pycache__")
    assert not bytecode.note(tmp_path)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("opt/app", "../../machine"),
        ("opt/app/lib", "../../../machine/lib"),
        ("venv", "a" * 4000),
        ("miniconda3", "miniconda3"),
        (".venv/lib/python3.12/site-packages", "site-packages"),
        (".venv/lib/python3.12/site-packages", "/"),
    ],
)
def test_links_are_not_followed(link: str, target: str, tmp_path: Path) -> None:
    install(tmp_path / "machine", "lib/python3.12/site-packages", 10)
    path = tmp_path / "root" / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    assert not bytecode.note(tmp_path / "root")
    path.unlink()
    install(tmp_path / "root", "opt/app/lib/python3.12/site-packages", 10)
    assert bytecode.note(tmp_path / "root")


def test_name_that_controls_a_terminal_is_left_out(tmp_path: Path) -> None:
    install(tmp_path, "opt/a\nnext    runsc evil/lib/python3.12/site-packages", 10)
    install(tmp_path, "opt/\x1b[2J/lib/python3.12/site-packages", 10)
    assert not bytecode.note(tmp_path)
    install(tmp_path, "opt/a b/lib/python3.12/site-packages", 10)
    assert bytecode.note(tmp_path).endswith(" -q '/opt/a b/lib/python3.12/site-packages'")


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
    assert f"Run in the image: python3 -m compileall -q /{FOLDER}" in note
