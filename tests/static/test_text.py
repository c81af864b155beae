"""Are the committed files generated from versions.yaml, pinned and complete?"""

import re
import subprocess
from pathlib import Path

import dockerfile
import pytest

from worker_images.build import generated, plan, record, render, requirements
from worker_images.files import ROOT
from worker_images.model import catalog, pins, project

FILES = sorted(ROOT.glob("images/*/Dockerfile.worker"))
FILE_TIME = pins.load(ROOT / "versions.yaml")[0].file_time


def tracked() -> list[Path]:
    """Return the files that git tracks or does not ignore."""
    if record.revision(ROOT) == record.UNKNOWN:
        pytest.skip("not run: git is missing, or this is not a clone")
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The checklist runs these tests on the Dockerfiles of a project, too."""
    if "rendered" in metafunc.fixturenames:
        folder: Path = metafunc.config.getoption("project")
        found = sorted(folder.glob("images/*/Dockerfile.worker"))
        metafunc.parametrize("rendered", found, ids=[path.parent.name for path in found])


def test_generated_files_match_their_sources(pytestconfig: pytest.Config) -> None:
    files = generated.files(project.load(pytestconfig.getoption("project")))
    assert not [path.name for path, text in files.items() if path.read_text() != text]


def test_every_buildable_variant_has_a_committed_dockerfile() -> None:
    assert [path.parent.name for path in FILES] == sorted(catalog.load(ROOT).buildable)


def test_every_base_image_has_a_digest(rendered: Path) -> None:
    steps = dockerfile.parse_file(str(rendered))
    stages = {step.value[2] for step in steps if step.cmd.lower() == "from"}
    external = [
        step.value[0]
        for step in steps
        if step.cmd.lower() == "from" and step.value[0] not in stages
    ]
    assert all(
        image == "scratch" or re.search(r"@sha256:[0-9a-f]{64}$", image) for image in external
    )


def test_every_download_has_a_checksum(rendered: Path) -> None:
    """A file:// address is in the build context, whose files were verified before the build."""
    assert unchecked_downloads(rendered.read_text()) == []


DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("line", "checked"),
    [
        ("ADD https://example.com/runsc ./", False),
        (f"ADD --checksum={DIGEST} https://example.com/runsc ./", True),
        ('ADD https://example.com/x ./\nRUN echo "0  x" | sha512sum --check --strict', True),
        ("RUN curl -fsSL https://example.com/runsc -o /usr/local/bin/runsc", False),
        ("RUN GOPROXY=file:///inputs go build", True),
    ],
)
def test_download_without_a_checksum_is_found(line: str, checked: bool) -> None:
    """A control of the search for downloads."""
    assert (unchecked_downloads(f"FROM scratch\n{line}\n") == []) is checked


def unchecked_downloads(text: str) -> list[str]:
    """Return the downloads that have no checksum, in their own step or in the next one."""
    steps = [(step.cmd.lower(), step.original) for step in dockerfile.parse_string(text)]
    following = [*(line for _, line in steps[1:]), ""]
    return [
        line
        for (name, line), after in zip(steps, following, strict=True)
        if name in {"add", "run"}
        and re.search(r"(?<!file)://", line)
        and not (name == "add" and "--checksum=sha256:" in line)
        and not (name == "add" and "sha512sum --check" in after)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_dockerfile_pipes_nothing_into_a_shell(path: Path) -> None:
    assert not re.search(r"(curl|wget)\b", path.read_text())
    assert not re.search(r"\|\s*(ba|da)?sh\b", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_components_are_copied_as_linked_layers(path: Path) -> None:
    """Each component is one COPY --link, so that its layer is identical in every variant."""
    steps = dockerfile.parse_file(str(path))
    last = max(number for number, step in enumerate(steps) if step.cmd.lower() == "from")
    copies = [step for step in steps[last:] if step.cmd.lower() == "copy"]
    assert copies
    # BuildKit's cache of COPY ignores the times of files.
    out = f"/out-{FILE_TIME}" if path.name == "Dockerfile.worker" else "/out"
    assert all(step.flags[0] == "--link" and step.value == (f"{out}/", "/") for step in copies)
    assert not [step for step in steps[last:] if step.cmd.lower() in {"run", "add"}]


@pytest.mark.parametrize("variant", [path.parent.name for path in FILES])
@pytest.mark.parametrize("source", ["packages", "upstream"])
def test_dockerfile_sets_no_mode_in_copy(variant: str, source: pins.Source) -> None:
    """From BuildKit 0.21 on, COPY --chmod also sets the mode of the folders that it creates."""
    loaded = project.load(ROOT)
    planned = plan.make(loaded, requirements.load(loaded), variant, source)
    assert copies_with_mode(render.dockerfile(planned, ROOT)) == []


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("examples/*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_example_sets_no_mode_in_copy(path: Path) -> None:
    assert copies_with_mode(path.read_text()) == []


@pytest.mark.parametrize("line", ["COPY --chmod=0644 a /b/c", "ADD --link --chmod=0600 a /b/c"])
def test_copy_that_sets_a_mode_is_found(line: str) -> None:
    """A control of the search for COPY and ADD steps that set a mode."""
    assert copies_with_mode(f"FROM scratch\n{line}\n") == [line]


def copies_with_mode(text: str) -> list[str]:
    """Return the COPY and ADD steps that set a mode."""
    steps = [step for step in dockerfile.parse_string(text) if step.cmd.lower() in {"copy", "add"}]
    return [
        step.original for step in steps if any(flag.startswith("--chmod") for flag in step.flags)
    ]


def test_no_binary_file_is_committed() -> None:
    assert not [
        path for path in tracked() if b"\0" in path.read_bytes()[:8000] and path.suffix != ".png"
    ]


def test_python_requirements_are_pinned_by_hash() -> None:
    for name, minimum in (
        ("requirements.txt", 10),
        ("requirements-lint.txt", 10),
        ("requirements-kit.txt", 4),
    ):
        entries = re.findall(
            r"^[a-z0-9-]+==\S+.*\\\n(?:    --hash=sha256:[0-9a-f]{64}.*\n)+",
            (ROOT / name).read_text(),
            re.MULTILINE,
        )
        lines = [
            line for line in (ROOT / name).read_text().splitlines() if line and line[0].isalpha()
        ]
        assert len(entries) == len(lines) > minimum


def test_locked_requirements_match_pyproject() -> None:
    required = re.findall(
        r'^    "([a-z0-9-]+==[^"]+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    locked = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-lint.txt").read_text()
    assert len(required) > 8
    assert not [entry for entry in required if f"\n{entry} " not in f"\n{locked}"]


def test_every_package_has_a_reason() -> None:
    packages = catalog.load(ROOT).packages
    assert all(
        len(reason.split()) >= 2
        for group in (
            packages.base,
            packages.cgo,
            packages.cross,
            packages.target,
            packages.lock,
            *packages.tools.values(),
        )
        for reason in group.values()
    )


def test_engine_script_has_at_most_150_lines() -> None:
    assert len((ROOT / "scripts/engine").read_text().splitlines()) <= 150


def test_checks_of_the_benchmark_exist() -> None:
    names = [
        line.partition("[")[0].split("::")
        for line in (ROOT / "bench/checks.txt").read_text().split()
    ]
    assert len(names) == 20
    texts = {path: (ROOT / path).read_text() for path, _ in names}
    assert not [name for path, name in names if not re.search(rf"\b{name}\b", texts[path])]
