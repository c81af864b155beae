"""Forks and patches in plans, Dockerfiles, inputs, and the digests of layers."""

from dataclasses import replace
from pathlib import Path

import dockerfile
import pytest

from worker_images.build import inputs, plan, render, requirements
from worker_images.build.inputs import Root
from worker_images.build.layer_inputs import input_digests
from worker_images.build.plan import Plan
from worker_images.errors import DriftError
from worker_images.files import text_digest
from worker_images.model import lock, project
from worker_images.model.lock import Lock, Patch
from worker_images.model.pins import Source

TREE, TOTAL = "1" * 64, f"h1:{'A' * 43}="
PATCH = "--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-one\n+two\n"
PATCHES = (Patch("0001-a.patch", text_digest(PATCH)),)
FORK = "example.com/team/gvisor v0.1.0"
PIN = '      describe: "20260622.0-46-g879cb2dc2"\n'
REPLACE = '      replace:\n        module: "example.com/team/gvisor"\n        version: "v0.1.0"\n'


@pytest.fixture
def planned(checkout: Path, locked: Lock) -> Plan:
    """A plan of full in which gVisor is a fork with a patch."""
    return planned_with(checkout, locked, "packages")


def write(checkout: Path) -> None:
    """Add the fork and the patch to the checkout, not to its lock."""
    versions = checkout / "versions.yaml"
    assert PIN in versions.read_text()
    versions.write_text(versions.read_text().replace(PIN, PIN + REPLACE))
    folder = checkout / "images/components/gvisor/patches"
    folder.mkdir()
    (folder / "0001-a.patch").write_text(PATCH)


def changed(locked: Lock) -> Lock:
    """The lock with the fork and the patch."""
    gvisor = replace(
        locked.modules["gvisor"], replace=f"{FORK} {TOTAL}", patches=PATCHES, tree=TREE
    )
    return replace(locked, modules={**locked.modules, "gvisor": gvisor})


def planned_with(checkout: Path, locked: Lock, source: Source) -> Plan:
    write(checkout)
    return plan.make(project.load(checkout), changed(locked), "full", source)


def test_lock_must_have_the_fork_and_the_patch(checkout: Path, locked: Lock) -> None:
    write(checkout)
    loaded = project.load(checkout)
    with pytest.raises(DriftError) as refused:
        requirements.load(loaded)
    (line,) = str(refused.value).splitlines()
    assert line == (
        "versions.lock: modules.gvisor: not in the lock:"
        f" {PATCHES[0]} {' '.join(FORK.split())}; run: make lock"
    )
    lock.lock_of(loaded.versions).write_text(changed(locked).as_text())
    assert requirements.load(loaded).modules["gvisor"].patches == PATCHES


@pytest.mark.parametrize(
    "wrong",
    [
        {"tree": ""},
        {"tree": "1"},
        {"patches": (Patch("a.patch", "1"),)},
        {"replace": FORK},
        {"patches": (), "tree": "1"},
    ],
)
def test_wrong_entry_of_the_lock_is_refused(
    wrong: dict[str, object], checkout: Path, locked: Lock
) -> None:
    loaded = project.load(checkout)
    lines = {**changed(locked).modules}
    lines["gvisor"] = replace(lines["gvisor"], **wrong)  # type: ignore[arg-type]
    text = replace(locked, modules=lines).as_text()
    lock.lock_of(loaded.versions).write_text(text)
    with pytest.raises(DriftError, match=r"modules\.gvisor: invalid entry"):
        requirements.load(loaded)


def test_reported_version_and_labels_name_the_fork_and_the_patches(planned: Plan) -> None:
    gvisor = planned.components[0]
    assert gvisor.reported_version == "20260622.0-46-g879cb2dc2+fork.patches.1"
    assert gvisor.labels == {
        "worker.gvisor-version": gvisor.reported_version,
        "worker.gvisor-fork": f"{FORK} {TOTAL}",
        "worker.gvisor-patches": f"0001-a.patch@sha256:{PATCHES[0].sha256}",
        "worker.gvisor-patched": f"sha256:{TREE}",
    }
    assert planned.components[1].labels == {"worker.runc-version": "1.5.2"}


def test_dockerfile_applies_the_patches_without_a_network(planned: Plan, checkout: Path) -> None:
    text = render.dockerfile(planned, checkout)
    (step,) = [
        each
        for each in dockerfile.parse_string(text)
        if each.cmd.lower() == "run" and "0001-a.patch" in each.original
    ]
    assert "--network=none" in step.flags
    assert f'--input="/patches/{PATCHES[0].name}"' in step.original
    assert f'go mod edit -replace="gvisor.dev/gvisor=./patched/{TREE}"' in step.original
    assert text.count("ADD patch.tar /") == 1
    assert text.count("worker.gvisor-patched=") == 1


def test_patch_is_an_input_of_its_component(planned: Plan, project: project.Project) -> None:
    own = {each.place: each.digest for each in planned.inputs_of(planned.components[0])}
    place = "components/gvisor/patches/0001-a.patch"
    assert own[place] == PATCHES[0].sha256
    (programs,) = [each for each in planned.inputs if each.place == "patch.tar"]
    assert isinstance(programs, Root)
    assert {"patch", "findutils"} <= {each.name for each in programs.packages}
    assert not [each for each in programs.packages if each.name == "libc6"]
    assert inputs.PATCH in project.catalog.packages.tools


def test_only_the_layer_of_the_changed_component_has_another_digest(
    planned: Plan, locked: Lock, project: project.Project
) -> None:
    before = input_digests(plan.make(project, locked, "full"), project.root)
    after = input_digests(planned, project.root)
    assert {name for name in before if before[name] != after[name]} == {"gvisor"}


def test_other_patched_sources_change_the_digest(planned: Plan, project: project.Project) -> None:
    gvisor = planned.components[0]
    assert gvisor.module
    other = replace(gvisor, module=replace(gvisor.module, tree="2" * 64))
    changed = replace(planned, components=(other, *planned.components[1:]))
    before, after = (input_digests(each, project.root) for each in (planned, changed))
    assert before["gvisor"] != after["gvisor"]


def test_upstream_says_that_it_lacks_the_changes(checkout: Path, locked: Lock) -> None:
    planned = planned_with(checkout, locked, "upstream")
    assert planned.components[0].reported_version == "20260622.0"
    lack = "gvisor's fork or patches (+fork.patches.1): only --source packages compiles them"
    assert lack in planned.lacks
    assert lack not in plan.make(project.load(checkout), changed(locked), "full").lacks
    assert "gvisor-fork" not in render.dockerfile(planned, checkout)


def test_forked_runc_reports_it(checkout: Path, locked: Lock) -> None:
    runc = replace(locked.modules["runc"], replace=f"example.com/runc v1.0.0 {TOTAL}")
    forked = replace(locked, modules={**locked.modules, "runc": runc})
    planned = plan.make(project.load(checkout), forked, "full", "packages")
    text = render.dockerfile(planned, checkout)
    assert '-ldflags "-s -w -X main.extraVersion=+fork -linkmode external' in text
    assert 'ARG RUNC_VERSION="1.5.2+fork"' in text
