"""Where the files of a project lie: in its own folder, or in the checkout below it."""

from pathlib import Path

import pytest

from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model import tree
from worker_images.model.tree import Tree

DESCRIPTION = "images/components/runc/component.yaml"
SUMS = "images/components/runc/go.sum"


def write(folder: Path, *names: str) -> Path:
    """Write empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(params=["beside", "inside", "around"])
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A project beside its checkout, inside of it as an example, or around it as a submodule."""
    places = {
        "beside": ("checkout", "project"),
        "inside": ("checkout", "checkout/examples/project"),
        "around": ("project/checkout", "project"),
    }
    below, folder = (tmp_path / name for name in places[request.param])
    write(below, "images/base/rootfs.yaml", "versions.yaml", DESCRIPTION, SUMS)
    monkeypatch.setattr(tree, "ROOT", below)
    return Tree(write(folder, "versions.yaml"))


def test_file_is_the_checkouts_unless_the_project_has_its_own(own: Tree) -> None:
    assert own.find(DESCRIPTION) == own.checkout / DESCRIPTION
    write(own.root, DESCRIPTION)
    assert own.find(DESCRIPTION) == own.root / DESCRIPTION


def test_missing_file_is_named_in_the_project(own: Tree) -> None:
    assert own.find("images/components/new/component.yaml").is_relative_to(own.root / "images")


def test_project_adds_a_file_to_a_component_of_the_checkout(own: Tree) -> None:
    assert own.part("runc", "go.sum") == own.checkout / SUMS
    write(own.root, SUMS)
    assert own.part("runc", "go.sum") == own.root / SUMS
    assert own.component("runc") == (own.checkout / SUMS).parent


def test_replaced_component_takes_no_file_of_the_checkout(own: Tree) -> None:
    write(own.root, DESCRIPTION)
    assert own.part("runc", "go.sum") == own.root / SUMS


def test_pattern_finds_each_name_once(own: Tree) -> None:
    found = [*own.glob("images/components/*/*")]
    assert found == [own.checkout / DESCRIPTION, own.checkout / SUMS]
    write(own.root, DESCRIPTION)
    assert [*own.glob("images/components/*/*")] == [own.root / DESCRIPTION, own.checkout / SUMS]


def test_checkout_and_folder_without_pins_stand_alone(own: Tree, tmp_path: Path) -> None:
    assert not own.stands_alone
    for folder in (own.checkout, tmp_path):
        assert (Tree(folder).checkout, Tree(folder).folders) == (folder, (folder,))


def test_option_names_one_folder_however_it_is_written(
    own: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.root)
    assert tree.of_option(Path("images/..")) == tree.of_option(Path()) == own.root


def test_folder_without_pins_is_not_a_project() -> None:
    with pytest.raises(UsageError, match=r"no versions\.yaml there"):
        tree.of_option(Path("/proc"))
    assert tree.of_option(ROOT) == ROOT
