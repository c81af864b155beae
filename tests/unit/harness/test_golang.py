"""The module that a program of a component must name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.elf_files import go_program
from worker_images.files import ROOT
from worker_images.harness import golang
from worker_images.harness.collection import Case
from worker_images.model.lock import Lock, Patch
from worker_images.model.pins import Fork, Source
from worker_images.model.project import Project

GVISOR, TREE = "gvisor.dev/gvisor", "1" * 64
VERSION = "v0.0.0-20260701204157-69c2d17aea96"
FORK = Fork(module="example.com/gvisor", version="v0.1.0")
PATCHES = (Patch("0001-a.patch", "2" * 64),)


def case(
    project: Project,
    locked: Lock,
    changes: Mapping[str, object],
    source: Source = "packages",
    root: Path = ROOT,
) -> Case:
    """The case of slim, in which gVisor has these changes in the lock, and a fork in the pins."""
    gvisor = replace(locked.modules["gvisor"], **changes)  # type: ignore[arg-type]
    pin = project.pins.components["gvisor"]
    fork = FORK if "replace" in changes else None
    packages = pin.packages.model_copy(update={"replace": fork})
    components = {"gvisor": pin.model_copy(update={"packages": packages})}
    pins = project.pins.model_copy(update={"components": components})
    lock = replace(locked, modules={**locked.modules, "gvisor": gvisor})
    return Case(root, "slim", source, "", pins, project.catalog, lock, "", "built", "amd64")


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, f"{GVISOR} {VERSION}"),
        ({"replace": "x v0 h1"}, f"{GVISOR} replaced by example.com/gvisor v0.1.0"),
        ({"patches": PATCHES, "tree": TREE}, f"{GVISOR} replaced by ./patched/{TREE} (devel)"),
    ],
)
def test_own_module_is_the_pinned_one_a_fork_or_patched_sources(
    changes: dict[str, object], own: str, project: Project, locked: Lock
) -> None:
    assert golang.own(case(project, locked, changes), "gvisor") == own


def test_patched_sources_have_no_hash_and_a_fork_has_that_of_go_sum(
    project: Project, locked: Lock, tmp_path: Path
) -> None:
    patched = case(project, locked, {"patches": PATCHES, "tree": TREE})
    assert golang.sums(patched, "gvisor")[golang.own(patched, "gvisor")] == ""
    folder = tmp_path / "images/components/gvisor"
    folder.mkdir(parents=True)
    own = (ROOT / "images/components/gvisor/go.sum").read_text()
    (folder / "go.sum").write_text(f"{own}example.com/gvisor v0.1.0 h1:fork=\n")
    fork = case(project, locked, {"replace": "x v0 h1"}, root=tmp_path)
    assert golang.sums(fork, "gvisor")[golang.own(fork, "gvisor")] == "h1:fork="


def test_program_names_a_replaced_module(project: Project, locked: Lock, tmp_path: Path) -> None:
    """The text is that of Go 1.26, whose line for a local folder ends with a tab."""
    text = f"path\t{GVISOR}/runsc\ndep\t{GVISOR}\t{VERSION}\n=>\t./patched/{TREE}\t(devel)\t\n"
    (tmp_path / "runsc").write_bytes(go_program(text))
    patched = case(project, locked, {"patches": PATCHES, "tree": TREE})
    found = golang.modules(tmp_path / "runsc", "gvisor")
    assert found == {golang.own(patched, "gvisor"): ""}


def test_labels_and_version_name_the_changes_of_the_source_packages(
    project: Project, locked: Lock
) -> None:
    changes: dict[str, object] = {"patches": PATCHES, "tree": TREE}
    labels = case(project, locked, changes).labels(())
    assert labels["worker.gvisor-patches"] == str(PATCHES[0])
    assert labels["worker.gvisor-version"] == "20260622.0-46-g879cb2dc2+patches.1"
    labels = case(project, locked, changes, "upstream").labels(())
    assert labels["worker.gvisor-version"] == "20260622.0"
    assert "worker.gvisor-patches" not in labels
