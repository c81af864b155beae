"""Are the example Dockerfiles and projects pinned and short?"""

from pathlib import Path

import dockerfile
import pytest

from worker_images.files import ROOT
from worker_images.model import project

FILES = sorted(ROOT.glob("examples/*/Dockerfile"))
PROJECTS = sorted(path.parent for path in ROOT.glob("examples/*/versions.yaml"))


def steps(path: Path, command: str) -> list[dockerfile.Command]:
    """Return the steps of one kind."""
    return [step for step in dockerfile.parse_file(str(path)) if step.cmd.lower() == command]


def test_examples_exist() -> None:
    assert [path.parent.name for path in FILES] == ["beta9"]
    assert [path.name for path in PROJECTS] == ["beta9", "requirements"]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_project_loads(folder: Path) -> None:
    loaded = project.load(folder)
    own = [path.parent.name for path in folder.glob("images/*/variant.yaml")]
    assert [*loaded.catalog.buildable] == (own or ["full", "slim"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_base_image_is_the_variant_of_the_project(path: Path) -> None:
    named = {step.value[2] for step in steps(path, "from") if len(step.value) == 3}
    variants = {f"worker:{name}" for name in project.load(path.parent).catalog.buildable}
    assert {step.value[0] for step in steps(path, "from")} - named == {"scratch", *variants}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_dockerfile_downloads_nothing(path: Path) -> None:
    assert not steps(path, "add")
    assert not [word for word in ("curl", "wget", "apt-get") if word in path.read_text()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_last_stage_only_copies(path: Path) -> None:
    all_steps = dockerfile.parse_file(str(path))
    last = max(number for number, step in enumerate(all_steps) if step.cmd.lower() == "from")
    assert {step.cmd.lower() for step in all_steps[last + 1 :]} <= {"copy", "env", "label", "cmd"}
    assert all(step.flags[0] == "--link" for step in all_steps[last:] if step.cmd.lower() == "copy")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_dockerfile_has_at_most_20_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 20
