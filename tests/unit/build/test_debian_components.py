"""A component of Debian packages: more packages of its layer, and files that are left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import projects
from worker_images.build import plan, render, requirements
from worker_images.build.inputs import Root, of_plan
from worker_images.model import project
from worker_images.model.lock import Lock, Roots
from worker_images.model.project import Project

JQ = "images/components/jq/component.yaml"
PATTERN = "/usr/share/jq/*"


def with_lines(folder: Path, *lines: str) -> Project:
    """Return the project of docs/projects.md with more lines below `packages` and `upstream`."""
    package = '  package: "jq"\n'
    text = projects.FILES[JQ]
    assert text.count(package) == 2
    added = "".join(f"  {line}\n" for line in lines)
    return project.load(projects.write(folder, {JQ: text.replace(package, package + added)}))


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """The project with another package, and a pattern that its layer lacks."""
    return with_lines(tmp_path, 'also: ["yq"]', f'dropped: {{"{PATTERN}": "examples"}}')


def root_of(own: Project, locked: Lock) -> Root:
    """Return the root filesystem of jq, with the packages of the base."""
    base = locked.packages["amd64"]
    holds = {**base.holds, "jq": base.holds["criu"]}
    packages = {**locked.packages, "amd64": Roots(base.names, holds, base.files)}
    inputs = of_plan(own, replace(locked, packages=packages), ["jq"], "packages", "amd64")
    (root,) = (each for each in inputs if isinstance(each, Root) and each.owner == "jq")
    return root


def test_all_packages_are_resolved_for_the_layer(own: Project) -> None:
    names = requirements.roots(own.catalog, "amd64").names
    assert {*names["jq"]} - {*names["base"]} == {"jq", "yq"}


def test_dropped_files_are_a_rule_of_the_layer_alone(
    own: Project, locked: Lock, tmp_path: Path
) -> None:
    plain = with_lines(tmp_path / "plain", 'also: ["yq"]')
    dropping, keeping = root_of(own, locked), root_of(plain, locked)
    assert {*dropping.rules.dropped} - {*keeping.rules.dropped} == {PATTERN}
    assert dropping.digest != keeping.digest
    assert keeping.rules == own.catalog.rules


def test_upstream_installs_all_packages_and_removes_what_is_dropped(
    own: Project, locked: Lock, tmp_path: Path
) -> None:
    text = render.dockerfile(plan.make(own, locked, "tools", "upstream"), own.root)
    assert "       jq yq \\\n" in text
    assert f" /out{PATTERN}\n" in text
    plain = with_lines(tmp_path / "plain")
    other = render.dockerfile(plan.make(plain, locked, "tools", "upstream"), plain.root)
    assert f"/out{PATTERN}" not in other
