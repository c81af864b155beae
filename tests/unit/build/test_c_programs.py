"""A C program of our own is compiled in one stage, with the same compiler for each source."""

import re

import pytest

from worker_images.build import plan, render
from worker_images.build.compilers import ZIG, Zig
from worker_images.build.plan import Plan
from worker_images.files import ROOT
from worker_images.model.component import Architecture
from worker_images.model.lock import Lock
from worker_images.model.pins import Source
from worker_images.model.project import Project

COMPILE = r"zig cc -target (\S+) .* -o \"(\S+)\" gpu-checkpoint\.c -ldl "


def dockerfile(planned: Plan) -> str:
    """The Dockerfile, with each instruction on one line."""
    return render.dockerfile(planned, ROOT).replace("\\\n", " ")


@pytest.mark.parametrize(
    ("source", "architecture", "machine"),
    [
        ("packages", "amd64", "x86_64"),
        ("packages", "arm64", "aarch64"),
        ("upstream", "amd64", "x86_64"),
    ],
)
def test_program_is_compiled_for_the_architecture_and_glibc(
    source: Source, architecture: Architecture, machine: str, project: Project, locked: Lock
) -> None:
    planned = plan.make(project, locked, "full", source, architecture)
    (found,) = re.findall(COMPILE, dockerfile(planned))
    program = f"{planned.out}/usr/local/bin/gpu-checkpoint"
    assert found == (f"{machine}-linux-gnu.2.17", program)


@pytest.mark.parametrize(
    ("source", "architecture", "below"),
    [
        ("packages", "amd64", "base"),
        ("packages", "arm64", "native"),
        ("upstream", "amd64", "base"),
    ],
)
def test_compiler_of_amd64_is_in_one_stage(
    source: Source, architecture: Architecture, below: str, project: Project, locked: Lock
) -> None:
    planned = plan.make(project, locked, "full", source, architecture)
    assert dockerfile(planned).count(f"\nFROM {below} AS zig\n") == 1
    (zig,) = (each for each in planned.inputs if isinstance(each, Zig))
    assert zig.wheel == locked.wheels["amd64"][ZIG]


def test_variant_without_a_c_program_has_no_compiler(project: Project, locked: Lock) -> None:
    planned = plan.make(project, locked, "slim")
    assert "zig" not in dockerfile(planned)
    assert not [each for each in planned.inputs if isinstance(each, Zig)]


@pytest.mark.parametrize("source", ["packages", "upstream"])
def test_program_needs_no_other_component(source: Source, project: Project, locked: Lock) -> None:
    """slim gets it by its name in variant.yaml."""
    names = ["gvisor", "gpu-checkpoint"]
    text = dockerfile(plan.of_components(project, locked, "slim", names, source))
    assert text.count("AS zig\n") == 1
    assert "FROM zig AS gpu-checkpoint\n" in text
    assert "COPY --link --from=gpu-checkpoint " in text
