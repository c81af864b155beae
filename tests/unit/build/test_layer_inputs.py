"""A layer's digest changes only with the inputs of that layer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import inputs, plan, render
from worker_images.build.compilers import Toolchain, Zig
from worker_images.build.inputs import Input, Root, Text
from worker_images.build.layer_inputs import input_digests
from worker_images.build.plan import Plan
from worker_images.files import ROOT, text_digest
from worker_images.model.lock import Lock
from worker_images.model.project import Project


@pytest.fixture
def full(project: Project, locked: Lock) -> Plan:
    """The plan of full."""
    return plan.make(project, locked, "full")


def changed(planned: Plan, change: Callable[[Input], Input]) -> set[str]:
    """Return the layers whose digest differs after a change of inputs."""
    before = input_digests(planned, ROOT)
    other = replace(planned, inputs=tuple(change(each) for each in planned.inputs))
    after = input_digests(other, ROOT)
    return {name for name in before if before[name] != after[name]}


def without_a_package(owner: str) -> Callable[[Input], Input]:
    """Return a change that removes a package from one root filesystem."""

    def change(each: Input) -> Input:
        if isinstance(each, Root) and each.owner == owner:
            return replace(each, packages=each.packages[1:])
        return each

    return change


def test_digests_are_equal_for_equal_inputs(full: Plan) -> None:
    assert changed(full, lambda each: each) == set()


def test_base_package_changes_the_layers_above_the_base(full: Plan) -> None:
    found = changed(full, without_a_package("base"))
    assert {"base", "runc", "cuda-runtime"} <= found
    assert "gvisor" not in found


def test_component_package_changes_only_its_layer(full: Plan) -> None:
    assert changed(full, without_a_package("criu")) == {"criu"}


def test_toolchain_changes_every_go_component(full: Plan) -> None:
    def change(each: Input) -> Input:
        if isinstance(each, Toolchain):
            return replace(each, file=replace(each.file, sum="h1:other"))
        return each

    assert changed(full, change) == {"gvisor", "runc", "nvidia-container-toolkit"}


def test_compiler_changes_every_c_program(full: Plan) -> None:
    def change(each: Input) -> Input:
        if isinstance(each, Zig):
            return replace(each, wheel=replace(each.wheel, sha256="0" * 64))
        return each

    assert changed(full, change) == {"gpu-checkpoint"}


def test_source_of_a_c_program_changes_only_its_layer(full: Plan) -> None:
    def change(each: Input) -> Input:
        if isinstance(each, Text) and each.place == "components/gpu-checkpoint/gpu-checkpoint.c":
            return replace(each, content=each.content + "\n")
        return each

    assert changed(full, change) == {"gpu-checkpoint"}


def test_go_sum_changes_only_its_component(full: Plan) -> None:
    def change(each: Input) -> Input:
        if isinstance(each, Text) and each.place == "components/runc/go.sum":
            return replace(each, content=each.content + "\n")
        return each

    assert changed(full, change) == {"runc"}


def relocked(locked: Lock, name: str) -> Lock:
    """Return the lock of a later day, with another version of one package."""
    roots = locked.packages["amd64"]
    files = tuple(
        replace(each, version="99", sha256=text_digest(each.sha256)) if each.name == name else each
        for each in roots.files
    )
    return replace(
        locked,
        debian=replace(locked.debian, resolved=(*locked.debian.resolved, "2027-03-01T00:00:00Z")),
        packages={**locked.packages, "amd64": replace(roots, files=files)},
    )


GO_COMPONENTS = ("gvisor", "runc", "nvidia-container-toolkit")


@pytest.mark.parametrize("name", GO_COMPONENTS)
def test_relock_of_debian_keeps_go_components(name: str, project: Project, locked: Lock) -> None:
    """A later lock with another CRIU changes the time of the image, and only the layer of CRIU."""
    before = plan.make(project, locked, "full")
    after = plan.make(project, relocked(locked, "criu"), "full")
    assert (before.created, after.created) == (locked.debian.time, 1803859200)
    assert render.dockerfile(after, ROOT) == render.dockerfile(before, ROOT)
    one, other = input_digests(before, ROOT), input_digests(after, ROOT)
    assert other[name] == one[name]
    assert {key for key in one if one[key] != other[key]} == {"criu"}


def test_relock_with_another_compiler_changes_components_with_c(
    project: Project, locked: Lock
) -> None:
    """A control: the digests follow the packages that a component is compiled with."""
    one = input_digests(plan.make(project, locked, "full"), ROOT)
    after = plan.make(project, relocked(locked, "gcc"), "full")
    changes = {name for name, digest in input_digests(after, ROOT).items() if one[name] != digest}
    assert changes == {"runc", "nvidia-container-toolkit"}


def test_programs_that_run_here_change_the_layers_that_they_make(
    project: Project, locked: Lock
) -> None:
    """Go and Zig compile without them, and Debian's packages are only unpacked."""
    planned = plan.make(project, locked, "full", architecture="arm64")
    assert changed(planned, without_a_package(inputs.NATIVE)) == {
        "runc",
        "nvidia-container-toolkit",
        "cuda-runtime",
    }


def test_version_and_time_change_the_digest(full: Plan) -> None:
    before = input_digests(full, ROOT)
    gvisor = replace(full.components[0], reported_version="other")
    other = replace(full, components=(gvisor, *full.components[1:]))
    assert input_digests(other, ROOT)["gvisor"] != before["gvisor"]
    later = input_digests(replace(full, file_time=full.file_time + 1), ROOT)
    assert not set(later.values()) & set(before.values())


@pytest.mark.parametrize(
    ("old", "new", "layers"),
    [
        ("-trimpath", "-trimpath -gcflags=all=-N", {"gvisor", "runc", "nvidia-container-toolkit"}),
        ("ADD cgo.tar /", "ADD cgo.tar /x", {"runc", "nvidia-container-toolkit"}),
        (
            "ADD base.tar /",
            "ADD base.tar /x",
            {"base", "runc", "criu", "nvidia-container-toolkit", "cuda-runtime"},
        ),
    ],
)
def test_instruction_of_a_shared_stage_changes_what_stands_on_it(
    old: str, new: str, layers: set[str], full: Plan, checkout: Path
) -> None:
    before = input_digests(full, checkout)
    template = checkout / "images/base/packages.j2"
    template.write_text(template.read_text().replace(old, new))
    render.environment.cache_clear()
    after = input_digests(full, checkout)
    assert {name for name in before if before[name] != after[name]} == layers


def test_copy_of_a_layer_is_one_of_its_inputs(full: Plan, checkout: Path) -> None:
    before = input_digests(full, checkout)
    template = checkout / "images/base/layer.j2"
    template.write_text(template.read_text().replace("--link", "--link --chmod=0700"))
    render.environment.cache_clear()
    assert input_digests(full, checkout)["base"] == before["base"]
    assert input_digests(full, checkout)["gvisor"] != before["gvisor"]
