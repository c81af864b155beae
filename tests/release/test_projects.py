"""A project is released from its own commit, on top of a checkout without changes."""

import subprocess
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.sites import Site
from worker_images.build import record
from worker_images.release import provenance

REPLACED = "the mirror has"


def commit(folder: Path) -> None:
    """Commit all files of a project."""
    for command in (
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def release(site: Site, folder: Path, version: str) -> "subprocess.CompletedProcess[str]":
    """Release the project of a folder."""
    return site.release("tools", version, "--project", str(folder))


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of docs/projects.md, accepted and committed in a subfolder of a clone."""
    clone = tmp_path_factory.mktemp("clone")
    found = projects.write(clone / "workers", {".gitignore": "out/\n"})
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    accepted = site.run("accept", "--project", found)
    if accepted.returncode == 2 and REPLACED in accepted.stderr:
        assert site.run("lock", "--project", found).returncode == 0
        accepted = site.run("accept", "--project", found)
    assert accepted.returncode == 0, accepted.stderr
    commit(clone)
    return found


def test_release_names_the_commits_of_project_and_checkout(site: Site, folder: Path) -> None:
    done = release(site, folder, "2.0")
    assert done.returncode == 0, done.stderr
    verified = site.verified(f"{site.target}:2.0-tools")
    own = record.revision(folder, in_subfolder=True)
    assert verified["annotations"]["org.opencontainers.image.revision"] == own
    assert (folder / "out/release/2.0").is_dir()
    assert not (site.checkout / "out/release/2.0").exists()
    predicates = [each["predicate"] for each in verified["statements"]]
    (found,) = [each["buildDefinition"] for each in predicates if "buildDefinition" in each]
    rows = {row["name"]: row["digest"] for row in found["resolvedDependencies"]}
    assert rows[provenance.SOURCE] == {"gitCommit": own}
    assert rows[provenance.CHECKOUT] == {"gitCommit": record.revision(site.checkout)}


@pytest.mark.parametrize("place", ["project", "checkout"])
def test_release_with_changes_is_refused(place: str, site: Site, folder: Path) -> None:
    path = {"project": folder, "checkout": site.checkout}[place] / "added"
    path.touch()
    try:
        refused = release(site, folder, "2.1")
    finally:
        path.unlink()
    assert refused.returncode == 7
    assert "these files are not committed: " in refused.stderr
    assert path.name in refused.stderr
    assert "2.1-tools" not in site.tags()
