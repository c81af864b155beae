"""Is a component that is added by the steps of CONTRIBUTING.md built and tested?"""

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT

BLOCK = re.compile(r"^ *```\w+ (\S+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
REPLACED = "the mirror has"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def steps() -> dict[str, str]:
    """Return the files of the section `Add a component`, by path."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Add a component\n")[1]
    return {name: textwrap.dedent(text) for name, text in BLOCK.findall(section.split("\n## ")[0])}


@pytest.fixture
def run(endpoint: Endpoint, tmp_path: Path) -> Iterator[Run]:
    """Run build.py in a copy of the checkout, with the engine and cache of this machine."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / ".venv").symlink_to(ROOT / ".venv")

    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return commands.run(
            [str(ROOT / ".venv/bin/python"), "build.py", *arguments],
            cwd=copy,
            env={**os.environ, "DOCKER_HOST": endpoint.host},
        )

    yield command
    # The copy's image took the tag of the checkout's image.
    built = json.loads((ROOT / "out/full/build.json").read_text())
    endpoint.images.tag(built["engine_id"], "worker:full")


def write_files_of_steps(copy: Path) -> None:
    """Write the files of all steps; the pin is added after the other components."""
    for name, text in steps().items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "versions.yaml":
            path.write_text(with_pin(path.read_text(), textwrap.indent(text, "  ")))
        else:
            path.write_text(text)


def with_pin(versions: str, pin: str) -> str:
    """Return versions.yaml with one more component, before the section that follows."""
    components, fleet = versions.split("\n# The drivers that")
    return f"{components}\n{pin}\n# The drivers that{fleet}"


def test_steps_write_one_folder_a_pin_a_variant_and_a_test() -> None:
    found = sorted(steps())
    assert found == [
        "images/components/jq/component.yaml",
        "images/components/jq/expect.yaml",
        "images/full/variant.yaml",
        "tests/image/test_jq.py",
        "versions.yaml",
    ]


def test_accept_builds_and_tests_the_component(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    write_files_of_steps(copy)
    accepted = run("accept", "full")
    if accepted.returncode == 2 and REPLACED in accepted.stderr:
        assert run("lock").returncode == 0
        accepted = run("accept", "full")
    assert accepted.returncode == 0, accepted.stderr
    assert "images/ledger.json: jq amd64: new" in accepted.stdout
    assert "+ADD jq.tar /out-" in accepted.stdout
    checks = (copy / "out/full/image.xml").read_text()
    assert 'name="test_jq_reports_the_pinned_version"' in checks
    record = json.loads((copy / "out/full/build.json").read_text())
    assert record["versions"]["jq"] == "1.7"


def test_accept_writes_nothing_if_the_component_is_invalid(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    write_files_of_steps(copy)
    (copy / "images/components/jq/component.yaml").write_text('argument: "JQ"\n')
    before = (copy / "versions.lock").read_text()
    rejected = run("accept", "full")
    assert rejected.returncode == 2
    assert "images/components/jq/component.yaml:1:1: packages: missing" in rejected.stderr
    assert (copy / "versions.lock").read_text() == before
