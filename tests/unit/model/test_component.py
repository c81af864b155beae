"""component.yaml: an invalid edit is refused at its line and column, with a fix."""

from pathlib import Path

import pytest

from worker_images.errors import DocumentError
from worker_images.model.component import Architecture, Definition, UpstreamFile
from worker_images.model.project import Project, load

GVISOR = "images/components/gvisor/component.yaml"
GPU_CHECKPOINT = "images/components/gpu-checkpoint/component.yaml"
CRIU = "images/components/criu/component.yaml"
# Name of the edit: file, old text, new text, part of the message.
INVALID = {
    "unknown key": (GVISOR, 'argument: "', 'argumnet: "', "1: argumnet: unknown key"),
    "unknown kind": (
        GVISOR,
        'kind: "go"',
        'kind: "git"',
        ":4:3: packages.kind: 'git' is not allowed",
    ),
    "key of another kind": (
        CRIU,
        'package: "criu"',
        'module: "a.org/b"',
        ":5:3: packages.module: unknown key",
    ),
    "no kind": (CRIU, '  kind: "debian"\n', "", "packages.kind: missing"),
    "no commands": (GVISOR, 'commands: ["gvisor.dev/gvisor/runsc"]', "commands: []", "commands"),
    "unknown builder": (GVISOR, 'builder: "go"', 'builder: "bazel"', "builder"),
    "unknown architecture": (GVISOR, '"arm64"]', '"mips"]', "architectures"),
    "plain http": (GVISOR, "https://storage", "http://storage", "upstream"),
    "another C library": (GPU_CHECKPOINT, 'glibc: "2.17"', 'glibc: "musl"', "packages.glibc"),
    "program in another folder": (GPU_CHECKPOINT, '"/usr/local/bin/', '"/opt/', "packages.program"),
    "library by its file": (GPU_CHECKPOINT, '["dl"]', '["libdl.so"]', "packages.libraries"),
    "no licence": (GVISOR, 'licence: "Apache-2.0"\n', "", "licence: missing"),
    "licence that is not SPDX": (GVISOR, '"Apache-2.0"', '"Apache, version 2"', "licence"),
    "argument of another component": (GVISOR, "GVISOR_VERSION", "RUNC_VERSION", "used twice"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_component_is_refused_with_its_position(name: str, checkout: Path) -> None:
    file, old, new, message = INVALID[name]
    path = checkout / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DocumentError) as refused:
        load(checkout)
    lines = str(refused.value).splitlines()
    assert any(line.startswith("images/components/") and message in line for line in lines), lines


def test_committed_components_are_valid(checkout: Path, project: Project) -> None:
    """The control of the test above."""
    assert set(project.catalog.components) == {
        path.name for path in (checkout / "images/components").iterdir()
    }


def test_platform_for_which_a_component_is_not_built_is_refused(checkout: Path) -> None:
    path = checkout / CRIU
    path.write_text(path.read_text().replace('["amd64", "arm64"]', '["amd64"]'))
    with pytest.raises(DocumentError) as refused:
        load(checkout)
    assert str(refused.value) == (
        "images/full/variant.yaml:3:1: platforms: arm64 cannot be built; criu is not built for"
        " arm64; remove it, or add it to architectures in images/components/criu"
    )


def test_c_program_without_its_source_is_refused(checkout: Path) -> None:
    (checkout / "images/components/gpu-checkpoint/gpu-checkpoint.c").unlink()
    with pytest.raises(DocumentError) as refused:
        load(checkout)
    assert str(refused.value) == (
        "images/components/gpu-checkpoint/gpu-checkpoint.c:1:1: gpu-checkpoint: missing; every"
        " component needs this file; write it"
    )


@pytest.mark.parametrize(
    ("key", "pin"),
    [("packages", 'version: "1.0.0"'), ("upstream", f'sha256: "{"1" * 64}"')],
)
def test_pin_of_a_c_program_has_only_its_version(key: str, pin: str, checkout: Path) -> None:
    path = checkout / "versions.yaml"
    own = '    version: "1.0.0"\n'
    text = path.read_text()
    assert text.count(own) == 1
    path.write_text(text.replace(own, f"{own}    {key}:\n      {pin}\n"))
    with pytest.raises(DocumentError) as refused:
        load(checkout)
    assert str(refused.value).endswith(
        f"components.gpu-checkpoint.{key}: not used; the program is compiled from the component's"
        " folder; delete it"
    )


def test_label_is_the_argument_in_lower_case(project: Project) -> None:
    labels = {name: each.label for name, each in project.catalog.components.items()}
    assert labels["gvisor"] == "worker.gvisor-version"
    assert labels["cuda-runtime"] == "worker.cuda-base-tag"


@pytest.mark.parametrize(
    ("name", "source", "template"),
    [
        ("gvisor", "packages", "components/gvisor/packages.j2"),
        ("gvisor", "upstream", "components/gvisor/upstream.j2"),
        ("criu", "packages", "base/debian.packages.j2"),
        ("criu", "upstream", "base/debian.upstream.j2"),
        ("gpu-checkpoint", "packages", "base/c.j2"),
        ("gpu-checkpoint", "upstream", "base/c.j2"),
    ],
)
def test_kind_decides_between_own_and_shared_templates(
    name: str, source: str, template: str, project: Project
) -> None:
    definition: Definition = project.catalog.components[name]
    assert definition.template(name, source) == template  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "architecture", "end"),
    [
        ("20260622.0", "amd64", "20260622.0/x86_64/runsc"),
        ("20260622.0", "arm64", "20260622.0/aarch64/runsc"),
        ("20260721.0", "amd64", "20260721.0/x86_64/gvisor.tar.bz2"),
        ("20261005.10", "arm64", "20261005.10/aarch64/gvisor.tar.bz2"),
    ],
)
def test_release_decides_between_the_file_and_the_archive(
    version: str, architecture: Architecture, end: str, project: Project
) -> None:
    origin = project.catalog.components["gvisor"].upstream
    assert isinstance(origin, UpstreamFile)
    found = origin.address(version, architecture)
    assert found == f"https://storage.googleapis.com/gvisor/releases/release/{end}"
