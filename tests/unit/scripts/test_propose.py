"""scripts/propose with a real git and a bare repository, and a stand-in for gh."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.files import ROOT

GH = """\
#!/bin/sh
echo "$*" >>"$GH_LOG"
case "$1 $2" in
  "auth git-credential") echo username=x; echo "password=$GH_TOKEN" ;;
  "pr list") cat "$GH_OPEN" ;;
esac
"""


@dataclass(frozen=True)
class Clone:
    """A clone, the repository that it was cloned from, and what gh was asked."""

    root: Path
    origin: Path

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def propose(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "PATH": f"{self.origin.parent}:{os.environ['PATH']}",
            "GH_LOG": str(self.origin.parent / "log"),
            "GH_OPEN": str(self.origin.parent / "open"),
            "GH_TOKEN": "token",
        }
        return commands.run([ROOT / "scripts/propose", *arguments], cwd=self.root, env=environment)

    @property
    def asked(self) -> list[str]:
        path = self.origin.parent / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    origin, root = tmp_path / "origin", tmp_path / "clone"
    found = Clone(root, origin)
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(origin)], check=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(root)], check=True)
    (root / "versions.lock").write_text("old\n")
    (root / ".gitignore").write_text("/out/\n")
    found.git("add", ".")
    found.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first")
    found.git("remote", "add", "origin", str(origin))
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "open").write_text("")
    return found


def saved(clone: Clone, text: str = "new\n") -> str:
    """Save a change as the first job does, and return the checkout to what the second one has."""
    (clone.root / "versions.lock").write_text(text)
    assert clone.propose("save", "out/x.patch").returncode == 0
    clone.git("reset", "--quiet", "--hard")
    return "out/x.patch"


def test_changes_become_a_branch_and_a_pull_request(clone: Clone) -> None:
    result = clone.propose("open", saved(clone), "weekly-x", "A title")
    assert result.returncode == 0, result.stderr
    assert clone.git("ls-remote", "origin").split()[1:] == ["refs/heads/weekly-x"]
    assert clone.git("show", "HEAD:versions.lock") == "new\n"
    assert clone.git("log", "-1", "--format=%s").strip() == "A title"
    assert clone.asked[-1].startswith("pr create --head weekly-x --title A title --body ")


def test_new_and_deleted_files_are_proposed_too(clone: Clone) -> None:
    (clone.root / "images").mkdir()
    (clone.root / "images/new.patch").write_text("a new file\n")
    (clone.root / ".gitignore").unlink()
    (clone.root / ".git/info/exclude").write_text("/out/\n")
    result = clone.propose("open", saved(clone), "weekly-x", "A title")
    assert result.returncode == 0, result.stderr
    names = clone.git("diff", "--name-status", "HEAD~1").split()
    assert names == ["D", ".gitignore", "A", "images/new.patch", "M", "versions.lock"]


def test_second_week_updates_the_open_pull_request(clone: Clone) -> None:
    clone.propose("open", saved(clone), "weekly-x", "A title")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    (clone.origin.parent / "open").write_text("7\n")
    result = clone.propose("open", saved(clone, "newer\n"), "weekly-x", "A title")
    assert "updated the pull request of weekly-x" in result.stdout
    assert len([line for line in clone.asked if line.startswith("pr create")]) == 1


def test_nothing_changed_opens_nothing(clone: Clone) -> None:
    result = clone.propose("open", saved(clone, "old\n"), "weekly-x", "A title")
    assert (result.returncode, result.stdout) == (0, "propose: nothing changed\n")
    assert clone.git("ls-remote", "origin") == ""
    assert clone.asked == []


def test_patch_that_does_not_apply_changes_nothing(clone: Clone) -> None:
    patch = saved(clone)
    (clone.root / "versions.lock").write_text("another\n")
    assert clone.propose("open", patch, "weekly-x", "A title").returncode
    assert clone.git("ls-remote", "origin") == ""


def test_missing_patch_is_an_empty_one_only_if_it_was_saved(clone: Clone) -> None:
    result = clone.propose("open", "out/none.patch", "weekly-x", "A title")
    assert result.returncode == 2
    assert "out/none.patch does not exist" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("save",), ("open", "x"), ("close", "x", "y", "z")])
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...], clone: Clone) -> None:
    result = clone.propose(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: scripts/propose save FILE")
