"""What a checkout changes of a git revision."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import branch
from worker_images.cli import changes
from worker_images.errors import UsageError
from worker_images.model.ledger import LEDGER
from worker_images.model.project import Project


@pytest.fixture
def clone(checkout: Path) -> Path:
    """A clone with one commit, in which one component and one Dockerfile changed."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "-m", "1")):
        subprocess.run(["git", "-C", str(checkout), *command], check=True)
    ledger = checkout / LEDGER
    ledger.write_text(ledger.read_text().replace('"bytes": 11318272', '"bytes": 13318272'))
    dockerfile = checkout / "images/slim/Dockerfile.worker"
    dockerfile.write_text(dockerfile.read_text() + "LABEL new=1\n")
    return checkout


def test_dockerfiles_and_sizes_are_compared(clone: Path, project: Project) -> None:
    found = branch.compare(replace(project, root=clone), "HEAD")
    assert [line for line in found.dockerfiles if line[0] in "+-"] == [
        "--- HEAD:images/slim/Dockerfile.worker",
        "+++ images/slim/Dockerfile.worker",
        "+LABEL new=1",
    ]
    differences = {
        (variant, size.component, size.architecture): (size.now or 0) - (size.before or 0)
        for variant, sizes in found.sizes.items()
        for size in sizes
    }
    assert {key for key, value in differences.items() if value} == {("full", "criu", "amd64")}
    assert ("slim", "gvisor", "arm64") in differences


def test_command_writes_markdown(clone: Path) -> None:
    text = changes.command(["--base", "HEAD"], clone, print)
    assert "## Dockerfiles against HEAD\n\n`````diff\n--- HEAD:images/slim/" in text
    assert "| criu | amd64 | 11.3 MB | 13.3 MB | +2.0 MB |" in text
    assert "| gvisor | amd64 | 80.4 MB | 80.4 MB | 0 |" in text


def test_revision_without_a_readable_ledger_has_no_sizes(clone: Path, project: Project) -> None:
    for command in (("rm", "--quiet", "--cached", LEDGER), ("commit", "--quiet", "-m", "2")):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(clone), *identity, *command], check=True)
    sizes = branch.compare(replace(project, root=clone), "HEAD").sizes["slim"]
    assert sizes
    assert all(size.before is None for size in sizes)


@pytest.mark.parametrize("base", ["nosuch", "--help", ""])
def test_unknown_revision_is_a_usage_error(base: str, clone: Path, project: Project) -> None:
    with pytest.raises(UsageError, match="no such revision of this clone"):
        branch.compare(replace(project, root=clone), base)
