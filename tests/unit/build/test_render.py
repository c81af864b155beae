"""Rendering: the committed text, both supplies, and that no accepted pin can change what kinds of
instructions run.
"""

import itertools
import os
import shlex
from dataclasses import replace
from pathlib import Path

import dockerfile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker_images.build import plan, render
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.model import pins as syntax
from worker_images.model.catalog import Catalog
from worker_images.model.pins import Pins, Supply

GOLDEN = ROOT / "tests/unit/golden"
SUPPLIES: tuple[Supply, ...] = ("packages", "vendor")
CASES = list(itertools.product(("slim", "full"), SUPPLIES))


def planned(variant: str, supply: Supply, pins: Pins, catalog: Catalog) -> plan.Plan:
    """The plan of a variant in a supply."""
    return plan.make(pins, catalog, variant, supply)


def kinds(text: str) -> list[tuple[str, ...]]:
    """The instructions as the official parser sees them, and what a shell reads in each RUN."""
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
    """How many words a shell line has, and its operators in order."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.commenters = ""
    words = list(reader)
    return (str(len(line.split())), *(word for word in words if set(word) <= set("();<>|&")))


@pytest.mark.parametrize(("variant", "supply"), CASES)
def test_golden(variant: str, supply: Supply, pins: Pins, catalog: Catalog) -> None:
    text, golden = (
        render.dockerfile(planned(variant, supply, pins, catalog), ROOT),
        GOLDEN / f"{variant}.{supply}.Dockerfile",
    )
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(("variant", "supply"), CASES)
def test_needs_no_frontend_image(
    variant: str, supply: Supply, pins: Pins, catalog: Catalog
) -> None:
    text = render.dockerfile(planned(variant, supply, pins, catalog), ROOT)
    assert "syntax=" not in text
    assert "<<" not in text


def test_packages_takes_nothing_from_an_image_registry(pins: Pins, catalog: Catalog) -> None:
    steps = dockerfile.parse_string(
        render.dockerfile(planned("full", "packages", pins, catalog), ROOT)
    )
    stages = {step.value[-1] for step in steps if step.cmd.lower() == "from"}
    assert {step.value[0] for step in steps if step.cmd.lower() == "from"} - stages == {"scratch"}


def test_vendor_takes_images_by_digest_and_checks_files(pins: Pins, catalog: Catalog) -> None:
    text = render.dockerfile(planned("full", "vendor", pins, catalog), ROOT)
    steps = dockerfile.parse_string(text)
    stages = {step.value[-1] for step in steps if step.cmd.lower() == "from"}
    outside = {step.value[0] for step in steps if step.cmd.lower() == "from"} - stages
    assert outside
    assert all("@sha256:" in image for image in outside)
    assert text.count("ADD https://") == text.count("sha512sum --check")


def test_undefined_is_an_error(pins: Pins, catalog: Catalog, checkout: Path) -> None:
    template = checkout / "images" / "Dockerfile.worker.j2"
    template.write_text(template.read_text() + "{{ plan.nothing }}\n")
    with pytest.raises(UsageError, match="nothing"):
        render.dockerfile(planned("slim", "packages", pins, catalog), checkout)


def texts(pattern: str) -> st.SearchStrategy[str]:
    """Values that a pin's own pattern accepts, hostile ones among them."""
    return st.from_regex(pattern, fullmatch=True)


@st.composite
def accepted(draw: st.DrawFn, pins: Pins) -> Pins:
    """Any versions.yaml that the schema accepts, of the committed shape."""
    data = pins.model_dump(exclude_none=True)
    debian, drawn = data["debian"], {"version": syntax.VERSION, "argument": syntax.ARGUMENT}
    debian["suite"], debian["image"], debian["digest"] = (
        draw(texts(syntax.NAME)),
        draw(texts(syntax.IMAGE)),
        draw(texts(syntax.DIGEST)),
    )
    data["go"]["toolchain"], data["source_date_epoch"] = (
        draw(texts(syntax.TOOLCHAIN)),
        draw(texts(syntax.EPOCH)),
    )
    sources = {
        "describe": syntax.VERSION,
        "module": syntax.MODULE,
        "wheel": syntax.WHEEL,
        "debian": syntax.PACKAGE,
    }
    digests = {"sha256": syntax.SHA256, "sha512": syntax.SHA512, "digest": syntax.DIGEST}
    for component in data["components"].values():
        component |= {key: draw(texts(pattern)) for key, pattern in drawn.items()}
        versions = {
            "version": syntax.MODULE_VERSION
            if "module" in component["packages"]
            else syntax.VERSION
        }
        for supply, patterns in (("packages", sources | versions), ("vendor", digests)):
            found = component[supply]
            found |= {
                key: draw(texts(pattern)) for key, pattern in patterns.items() if key in found
            }
    try:
        return Pins.model_validate(data)
    except ValueError:
        # The schema has rules beside its patterns (no all-zero digest): such a file is not
        # accepted.
        return pins


def test_no_accepted_pin_changes_the_instructions(pins: Pins, catalog: Catalog) -> None:
    def instructions(candidate: Pins) -> list[list[tuple[str, ...]]]:
        plans = [planned(variant, supply, candidate, catalog) for variant, supply in CASES]
        return [kinds(render.dockerfile(plan, ROOT)) for plan in plans]

    expected = instructions(pins)
    seen = 0

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(accepted(pins))
    def holds(candidate: Pins) -> None:
        nonlocal seen
        seen += candidate is not pins
        assert instructions(candidate) == expected

    holds()
    assert seen >= 50


@pytest.mark.parametrize("poison", ["1\nRUN id", "1\\", '1" \\\n'])
def test_the_oracle_sees_an_injection(poison: str, pins: Pins, catalog: Catalog) -> None:
    """The control of the test above: a value that the schema would refuse does change the
    instructions.
    """
    base = planned("slim", "packages", pins, catalog)
    expected = kinds(render.dockerfile(base, ROOT))
    source = base.components[0].source.model_copy(update={"describe": poison})
    text = render.dockerfile(
        replace(base, components=(replace(base.components[0], source=source),)), ROOT
    )
    try:
        found = kinds(text)
    except (dockerfile.GoParseError, ValueError):
        found = []
    assert found != expected
