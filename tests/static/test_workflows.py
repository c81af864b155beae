"""Are the hosted workflows pinned, with the fewest rights, and made of commands that run here?"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker_images.cli.main import COMMANDS
from worker_images.files import ROOT
from worker_images.model.layers import LAYERS

FILES = sorted(ROOT.glob(".github/workflows/*"))
WRONG = ROOT / "tests/static/wrong-workflow.yaml"
PINNED = re.compile(r"[a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
LAYER_TARGETS = {f"test-{layer.name}" for layer in LAYERS}
# The only jobs that write, and what they need for it.
WRITING = {
    ("release.yaml", "publish"): {"packages", "id-token"},
    ("weekly.yaml", "propose"): {"contents", "pull-requests"},
}
KNOWN_COMMANDS = {*COMMANDS, "verify"}


def read(path: Path) -> dict[Any, Any]:
    """Return a workflow; YAML reads its key `on` as true."""
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def jobs() -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Yield every job of every workflow."""
    for path in FILES:
        for name, job in read(path)["jobs"].items():
            yield path, name, job


def steps(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield every step of a workflow."""
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def unpinned(path: Path) -> list[str]:
    """Return the actions without a commit and the version that it has."""
    found = re.findall(r"uses: (.+)", path.read_text())
    return [action for action in found if not PINNED.fullmatch(action)]


def unknown(line: str) -> str:
    """Return what is wrong with a command of a step; empty for one that also runs here."""
    words = shlex.split(re.sub(r" >>\"\$GITHUB_STEP_SUMMARY\"$", "", line))
    program, *arguments = words[1:] if words[0] == "sudo" else words
    if program == "make":
        return "" if {*arguments} <= TARGETS | LAYER_TARGETS else "no such target"
    if program == "./build.py":
        known = arguments[0].startswith("--") or arguments[0] in KNOWN_COMMANDS
        return "" if known else "no such command"
    if program == ".venv/bin/python":
        paths = [each for each in arguments if each.startswith("tests/")]
        missing = [each for each in paths if not (ROOT / each).exists()]
        return "" if arguments[:2] == ["-m", "pytest"] and paths and not missing else "no such test"
    is_script = program.startswith("scripts/") and (ROOT / program).is_file()
    return "" if is_script else "not a command of the project"


def test_workflows_exist() -> None:
    assert [path.name for path in FILES] == ["pull-request.yaml", "release.yaml", "weekly.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    assert "uses: " in path.read_text()
    assert unpinned(path) == []


def test_every_version_of_an_action_has_one_commit() -> None:
    found = {pin for path in FILES for pin in re.findall(r"uses: (.+)", path.read_text())}
    actions = [pin.partition("@")[0] for pin in found]
    assert len(actions) == len(set(actions))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_also_runs_here(path: Path) -> None:
    lines = [step["run"] for step in steps(path) if "run" in step]
    assert len(lines) >= 4
    assert [(line, fault) for line in lines if (fault := unknown(line))] == []


@pytest.mark.parametrize(
    "line",
    [
        "make nothing",
        "./build.py nothing",
        "scripts/nothing",
        "curl -fsSL https://example.com",
        "make setup && curl https://example.com",
        ".venv/bin/python -m pytest tests/nothing",
        ".venv/bin/python -c 1",
    ],
)
def test_command_that_does_not_run_here_is_found(line: str) -> None:
    """A control of the search for commands."""
    assert unknown(line)


def test_action_without_a_commit_is_found() -> None:
    """A control of the search for actions."""
    assert unpinned(WRONG) == ["actions/checkout@v6"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_contain_no_template(path: Path) -> None:
    """GitHub would paste text of a stranger into the script. Values come by the environment."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_workflow_starts_without_rights_and_not_twice(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    assert "pull_request_target" not in path.read_text()


def test_only_jobs_that_publish_can_write() -> None:
    writing = {}
    for path, name, job in jobs():
        rights = {right for right, level in job["permissions"].items() if level == "write"}
        if rights:
            writing[path.name, name] = rights
    assert writing == WRITING


def test_job_that_opens_pull_requests_runs_no_build() -> None:
    job = read(ROOT / ".github/workflows/weekly.yaml")["jobs"]["propose"]
    commands = [shlex.split(step["run"])[0] for step in job["steps"] if "run" in step]
    assert commands == ["scripts/propose"]


def test_job_that_signs_runs_no_program_of_an_image() -> None:
    """It neither builds nor tests: programs of an image could take its right to sign."""
    signing = [job for _, _, job in jobs() if "id-token" in job["permissions"]]
    commands = [step["run"] for job in signing for step in job["steps"] if "run" in step]
    assert commands == [
        "sudo scripts/hosted",
        "make setup",
        "scripts/publish login",
        "scripts/publish release",
    ]
    assert " --no-build " in (ROOT / "scripts/publish").read_text()


def test_results_travel_with_their_seals_and_keys() -> None:
    release = read(ROOT / ".github/workflows/release.yaml")["jobs"]
    uploads = {
        step["with"]["name"]: step["with"]["path"].split()
        for job in release.values()
        for step in job["steps"]
        if "actions/upload-artifact@" in step.get("uses", "")
    }
    assert {"out/*/image.xml", "out/*/image.xml.seal", "out/keys/build.key"} <= {*uploads["images"]}
    assert uploads["results-arm64"] == ["out/arm64"]
    downloads = [step["with"] for step in release["publish"]["steps"] if "with" in step]
    assert {"name": "results-arm64", "path": "out/arm64"} in downloads
    script = (ROOT / "scripts/publish").read_text()
    for file in ("out/keys/build.key", "out/arm64/results.key"):
        assert f"--results-key {file}" in script
        keys = [step.get("run") for job in release.values() for step in job["steps"]]
        assert f"scripts/publish key {file}" in keys


def test_every_job_has_a_limit_and_a_fixed_runner() -> None:
    found = [(job["timeout-minutes"], job["runs-on"]) for _, _, job in jobs()]
    assert len(found) >= 7
    assert all(minutes <= 90 for minutes, _ in found)
    assert {runner for _, runner in found} == {"ubuntu-24.04", "ubuntu-24.04-arm"}


def test_no_checkout_keeps_its_token() -> None:
    checkouts = [
        step
        for path in FILES
        for step in steps(path)
        if "actions/checkout@" in step.get("uses", "")
    ]
    assert len(checkouts) == len([*jobs()])
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_released_archives_are_those_that_were_tested() -> None:
    """No job after the build starts one; the archives travel as an artifact."""
    release = read(ROOT / ".github/workflows/release.yaml")["jobs"]
    assert release["publish"]["needs"] == ["build", "arm64"]
    for name in ("arm64", "publish"):
        commands = [step["run"] for step in release[name]["steps"] if "run" in step]
        assert not [line for line in commands if "build.py --variant" in line or "accept" in line]
        assert any(
            step.get("with") == {"name": "images", "path": "out"} for step in release[name]["steps"]
        )
