"""Are the example Dockerfiles pinned and short?"""

from pathlib import Path

import dockerfile
import pytest

from worker_images.files import ROOT
from worker_images.model import pins

FILES = sorted(ROOT.glob("examples/*/Dockerfile"))


def steps(path: Path, command: str) -> list[dockerfile.Command]:
    """Return the steps of one kind."""
    return [step for step in dockerfile.parse_file(str(path)) if step.cmd.lower() == command]


def test_examples_exist() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_base_images_are_worker_full_and_the_pinned_debian(path: Path) -> None:
    debian = pins.load(ROOT / "versions.yaml")[0].debian
    named = {step.value[2] for step in steps(path, "from") if len(step.value) == 3}
    assert {step.value[0] for step in steps(path, "from")} - named == {
        "scratch",
        "worker:full",
        f"{debian.image}@{debian.digest}",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_download_has_a_checksum(path: Path) -> None:
    found = steps(path, "add")
    assert found
    assert all(step.flags and step.flags[0].startswith("--checksum=sha256:") for step in found)
    assert not [word for word in ("curl", "wget") if word in path.read_text()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_last_stage_only_copies(path: Path) -> None:
    all_steps = dockerfile.parse_file(str(path))
    last = max(number for number, step in enumerate(all_steps) if step.cmd.lower() == "from")
    assert {step.cmd.lower() for step in all_steps[last + 1 :]} <= {"copy", "env", "label", "cmd"}
    assert all(step.flags[0] == "--link" for step in all_steps[last:] if step.cmd.lower() == "copy")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_dockerfile_has_at_most_60_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
