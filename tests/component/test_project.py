"""Is a component of a project built and tested, and does a project take the next checkout?"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands, projects
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model.ledger import Ledger
from worker_images.model.lock import Lock

Run = Callable[..., "subprocess.CompletedProcess[str]"]

REPLACED = "the mirror has"
EXPECT = "images/components/jq/expect.yaml"
LOCKED = Lock.read(ROOT / "versions.lock")
DIGEST = re.compile(r'(# runc\.amd64 of the release\n +sha256: )"[0-9a-f]{64}"')


@pytest.fixture(scope="module")
def run(endpoint: Endpoint) -> Run:
    """Run build.py of a checkout, with the engine and cache of this machine."""

    def command(*arguments: str, checkout: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        return commands.run(
            [str(ROOT / ".venv/bin/python"), "build.py", *arguments],
            cwd=checkout,
            env={**os.environ, "DOCKER_HOST": endpoint.host},
        )

    return command


@dataclass(frozen=True)
class Accepted:
    """The accepted project, the output, and the files of the checkout that changed meanwhile."""

    folder: Path
    output: str
    changed: set[Path]


@pytest.fixture(scope="module")
def first(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Accepted:
    """The project that all tests share."""
    before = state(ROOT)
    folder = projects.write(tmp_path_factory.mktemp("first") / "project")
    output = accept(run, folder)
    return Accepted(folder, output, {path for path, _ in before.items() ^ state(ROOT).items()})


@pytest.fixture
def accepted(first: Accepted, tmp_path: Path) -> Path:
    """A copy of the project, to change."""
    return Path(shutil.copytree(first.folder, tmp_path / "project"))


def accept(run: Run, folder: Path, checkout: Path = ROOT) -> str:
    """Accept a project and return the output; a package that Debian replaced needs a new lock."""
    result = run("accept", "--project", str(folder), checkout=checkout)
    if result.returncode == 2 and REPLACED in result.stderr:
        assert run("lock", "--project", str(folder), checkout=checkout).returncode == 0
        result = run("accept", "--project", str(folder), checkout=checkout)
    assert result.returncode == 0, result.stderr
    return result.stdout


def written(folder: Path) -> set[str]:
    """Return the files of a project outside of out/."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)) for path in paths}
    return {name for name in names if not name.startswith("out/")}


def state(folder: Path) -> dict[Path, int]:
    """Return the time of each file of a checkout that commands could write."""
    paths = [*folder.glob("images/**/*"), *folder.glob("versions.*"), *folder.glob("docs/*")]
    return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}


def copied(folder: Path) -> Path:
    """Copy the checkout."""
    ignored = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=ignored)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def test_accept_builds_and_tests_the_component_of_a_project(first: Accepted) -> None:
    assert "images/ledger.json: jq amd64: new" in first.output
    record = json.loads((first.folder / "out/tools/build.json").read_text())
    assert record["versions"]["jq"] == "1.7"
    results = (first.folder / "out/tools/image.xml").read_text()
    assert "test_component_reports_its_version[jq]" in results


def test_accept_writes_below_the_project_alone(first: Accepted) -> None:
    assert written(first.folder) - {*projects.FILES} == {
        "versions.lock",
        "images/ledger.json",
        "images/tools/Dockerfile.upstream",
        "images/tools/Dockerfile.worker",
    }
    assert first.changed == set()


def test_layers_of_the_checkout_are_the_same_bytes_in_a_project(first: Accepted) -> None:
    """A first lock begins with that of the checkout."""
    own, ours = Ledger.read(first.folder), Ledger.read(ROOT)
    assert own.rows.keys() == {"base", "gvisor", "jq"}
    if Lock.read(first.folder / "versions.lock").debian.resolved[0] != LOCKED.debian.resolved[0]:
        pytest.skip("not run: Debian has replaced a locked package, so the project has a new lock")
    assert own.rows["base"] == {"amd64": ours.rows["base"]["amd64"]}
    assert own.rows["gvisor"] == {"amd64": ours.rows["gvisor"]["amd64"]}


def test_component_that_reports_another_version_is_refused(run: Run, accepted: Path) -> None:
    """The control of `reports`."""
    path = accepted / EXPECT
    path.write_text(path.read_text().replace("jq-{version}", "jq-2.{version}"))
    before = (accepted / "images/ledger.json").read_text()
    refused = run("--project", str(accepted), "test", "image")
    assert refused.returncode == 5, refused.stderr
    assert "test_component_reports_its_version[jq]" in refused.stdout + refused.stderr
    assert (accepted / "images/ledger.json").read_text() == before


def test_next_version_of_the_checkout_is_taken(run: Run, accepted: Path, tmp_path: Path) -> None:
    """The steps of docs/projects.md, with another digest of runc in the next checkout."""
    newer = copied(tmp_path / "newer")
    pins = newer / "versions.yaml"
    text, count = DIGEST.subn(rf'\1"{"1" * 64}"', pins.read_text())
    assert count == 1
    pins.write_text(text)
    check = ("render", "--check", "--project", str(accepted))
    assert run(*check).returncode == 0
    stale = run(*check, checkout=newer)
    assert stale.returncode == 2
    assert (
        f"{accepted}/versions.lock: published.https://github.com/opencontainers/runc"
        in stale.stderr
    )
    assert f"run: ./build.py --project {accepted} lock" in stale.stderr
    accept(run, accepted, newer)
    assert run(*check, checkout=newer).returncode == 0
    assert "1" * 64 in (accepted / "versions.lock").read_text()


@pytest.mark.parametrize(
    "command",
    [("test", "workload"), ("verify", "--image", "out/tools/image.tar"), ("report",)],
    ids=lambda command: command[0],
)
def test_command_works_on_the_image_of_a_project(
    command: tuple[str, ...], run: Run, first: Accepted
) -> None:
    words = [str(first.folder / word) if word.startswith("out/") else word for word in command]
    done = run(*words, "--project", str(first.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^Yes: .*(worker:tools may be used|checks passed)", done.stdout, re.MULTILINE)
