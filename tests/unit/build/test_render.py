"""Rendered Dockerfiles of both sources. No accepted pin can change their instructions."""

import itertools
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import dockerfile
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from worker_images.build import plan, render
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model import component
from worker_images.model import pins as syntax
from worker_images.model.component import Definition
from worker_images.model.lock import Lock
from worker_images.model.pins import Pins, Source
from worker_images.model.project import Project

MODULES = {"gvisor", "runc", "nvidia-container-toolkit"}
SOURCES: tuple[Source, ...] = ("packages", "upstream")
CASES = list(itertools.product(("slim", "full"), SOURCES))


def rendered(project: Project, locked: Lock, variant: str, source: Source) -> str:
    """Return the Dockerfile of a variant."""
    return render.dockerfile(plan.make(project, locked, variant, source), project.root)


def kinds(text: str) -> list[tuple[str, ...]]:
    """Return the instructions from the official parser, with the shell syntax of each RUN."""
    return [
        (
            step.cmd,
            *(flag.split("=")[0] for flag in step.flags),
            str(len(step.value)),
            *(_shell(step.value[0]) if step.cmd == "RUN" else ()),
        )
        for step in dockerfile.parse_string(text)
    ]


def _shell(line: str) -> tuple[str, ...]:
    """Return the number of words of a shell line, and its operators in order."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.commenters = ""
    words = list(reader)
    return (str(len(line.split())), *(word for word in words if set(word) <= set("();<>|&")))


@pytest.mark.parametrize(("variant", "source"), CASES)
def test_dockerfile_needs_no_frontend_image(
    variant: str, source: Source, project: Project, locked: Lock
) -> None:
    text = rendered(project, locked, variant, source)
    assert "syntax=" not in text
    assert "<<" not in text


def test_packages_dockerfile_uses_no_image_registry(project: Project, locked: Lock) -> None:
    steps = dockerfile.parse_string(rendered(project, locked, "full", "packages"))
    stages = {step.value[-1] for step in steps if step.cmd.lower() == "from"}
    assert {step.value[0] for step in steps if step.cmd.lower() == "from"} - stages == {"scratch"}


def test_upstream_dockerfile_pins_images_by_digest_and_checks_files(
    project: Project, locked: Lock
) -> None:
    text = rendered(project, locked, "full", "upstream")
    steps = dockerfile.parse_string(text)
    stages = {step.value[-1] for step in steps if step.cmd.lower() == "from"}
    outside = {step.value[0] for step in steps if step.cmd.lower() == "from"} - stages
    assert outside
    assert all("@sha256:" in image for image in outside)
    assert "ADD http" not in text
    files = [step.value[0] for step in steps if step.cmd.lower() == "copy" and not step.flags]
    checks = [
        step for step in steps if step.cmd.lower() == "run" and "sum --check" in step.original
    ]
    assert len(files) == len(checks) == 3


def test_undefined_value_is_an_error(project: Project, locked: Lock, checkout: Path) -> None:
    template = checkout / "images" / "Dockerfile.worker.j2"
    template.write_text(template.read_text() + "{{ plan.nothing }}\n")
    with pytest.raises(UsageError, match="nothing"):
        rendered(replace(project, root=checkout), locked, "slim", "packages")


def texts(pattern: str) -> st.SearchStrategy[str]:
    """Draw values that a pin's pattern accepts, including hostile ones."""
    return st.from_regex(pattern, fullmatch=True)


@st.composite
def accepted(draw: st.DrawFn, project: Project) -> Project:
    """Draw any versions.yaml and component.yaml of the committed shape that the schema accepts."""
    data = project.pins.model_dump(exclude_none=True)
    debian = data["debian"]
    for key, pattern in {
        "suite": syntax.NAME,
        "image": syntax.IMAGE,
        "digest": syntax.DIGEST,
    }.items():
        debian[key] = draw(texts(pattern))
    data["go"]["toolchain"] = draw(texts(syntax.TOOLCHAIN))
    data["file_time"] = draw(texts(syntax.EPOCH))
    for name, pin in data["components"].items():
        _draw_pin(draw, pin, is_module=name in MODULES)
    try:
        pins = Pins.model_validate(data)
        components = {
            name: Definition.model_validate(_draw_definition(draw, each.model_dump()))
            for name, each in project.catalog.components.items()
        }
    except ValueError:
        # The schema has rules besides its patterns; for example, it rejects an all-zero digest.
        return project
    return replace(project, pins=pins, catalog=replace(project.catalog, components=components))


def _draw_pin(draw: st.DrawFn, pin: dict[str, Any], *, is_module: bool) -> None:
    pin["version"] = draw(texts(syntax.VERSION))
    packages, upstream = pin["packages"], pin.get("upstream", {})
    version = syntax.MODULE_VERSION if is_module else syntax.VERSION
    patterns = {"version": version, "describe": syntax.VERSION}
    packages |= {key: draw(texts(patterns[key])) for key in packages}
    # Patterns of a fixed length are slow to draw one character at a time.
    digests = {"sha256": "{:064x}", "sha512": "{:0128x}", "digest": "sha256:{:064x}"}
    upstream |= {
        key: digests[key].format(draw(st.integers(2**255, 2**256 - 1))) for key in upstream
    }


def _draw_definition(draw: st.DrawFn, data: dict[str, Any]) -> dict[str, Any]:
    patterns = {
        "module": syntax.MODULE,
        "project": syntax.WHEEL,
        "package": syntax.PACKAGE,
        "url": component.URL,
        "key": component.URL,
        "image": component.NAME,
    }
    for source in ("packages", "upstream"):
        found = data[source]
        found |= {key: draw(texts(patterns[key])) for key in found if key in patterns}
    return data | {"argument": draw(texts(syntax.ARGUMENT))}


def test_accepted_pin_does_not_change_the_instructions(project: Project, locked: Lock) -> None:
    def instructions(candidate: Project) -> list[list[tuple[str, ...]]]:
        return [kinds(rendered(candidate, locked, variant, source)) for variant, source in CASES]

    expected = instructions(project)
    seen = 0

    @settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(accepted(project))
    def holds(candidate: Project) -> None:
        nonlocal seen
        seen += candidate is not project
        assert instructions(candidate) == expected

    holds()
    assert seen >= 50


@pytest.mark.parametrize("poison", ["1\nRUN id", "1\\", '1" \\\n'])
def test_rejected_value_changes_the_instructions(
    poison: str, project: Project, locked: Lock
) -> None:
    """Control of the test above."""
    base = plan.make(project, locked, "slim", "packages")
    expected = kinds(render.dockerfile(base, ROOT))
    poisoned = replace(base.components[0], reported_version=poison)
    text = render.dockerfile(replace(base, components=(poisoned,)), ROOT)
    try:
        found = kinds(text)
    except (dockerfile.GoParseError, ValueError):
        found = []
    assert found != expected
