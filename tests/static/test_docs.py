"""Are the commands, links and messages in the documents valid?"""

import re
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.harness.dangers import RULES as DANGERS
from worker_images.model.layers import LAYERS
from worker_images.node.driver import lists
from worker_images.node.lint.lint import RULES

FOLDERS = ("docs/*.md", "images/*/README.md", "examples/*/README.md")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for folder in FOLDERS for page in sorted(ROOT.glob(folder))),
]
TARGETS = {
    *re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE),
    *(f"test-{layer.name}" for layer in LAYERS),
}
PROGRAMS = [
    path
    for folder in ("worker_images", "scripts", "tests/image")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix != ".pyc"
]
OPTIONS = {
    option
    for path in PROGRAMS
    for option in re.findall(r'add(?:_argument|option)\(\s*"(--[a-z-]+)"', path.read_text())
}
SOURCES = "".join(path.read_text() for path in [ROOT / "build.py", *PROGRAMS])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_a_page_exist(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"(?:^|`|\$ )make ([a-z_-]+)", text, re.MULTILINE)) <= TARGETS
    ours = [
        line
        for line in re.findall(r".*(?:build\.py|pytest tests|-m worker_images).*", text)
        if "docker" not in line
    ]
    assert {option for line in ours for option in re.findall(r"\s(--[a-z-]+)", line)} <= OPTIONS | {
        "--help",
        "--check",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_in_a_page_have_a_target(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_launcher_page_lists_every_lint_rule() -> None:
    text = (ROOT / "docs/launcher.md").read_text()
    assert [
        rule.name for rule in RULES if f"| {rule.name} | {rule.description} |" not in text
    ] == []
    assert len(RULES) == text.count("\n| F")
    described = " ".join(re.findall(r"^- \*(F[F0-9, ]+)\.?\*", text, re.MULTILINE))
    assert {*re.findall(r"F\d+", described)} == {rule.name for rule in RULES}


def test_launcher_page_lists_every_place_of_the_driver() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/launcher.md").read_text(), re.MULTILINE
    )
    begin = rows.index(("place", "libraries")) + 2
    listed = rows[begin : begin + len(lists.PLACES)]
    assert [name for name, _ in listed] == [place.name for place in lists.PLACES]
    for place, (_, text) in zip(lists.PLACES, listed, strict=True):
        words = {"machine": "MACHINE", "version": "VERSION"}
        folders = [str(Path("/", place.root, each.format(**words))) for each in place.libraries]
        assert re.findall(r"`(/[^`]+)`", text)[: len(folders)] == folders


def test_page_of_derived_images_lists_every_rule() -> None:
    text = (ROOT / "docs/derived.md").read_text()
    assert [
        name for name, rule in DANGERS.items() if f"| {name} | {rule.__doc__} |" not in text
    ] == []
    assert len(DANGERS) == text.count("\n| ") - 2


def test_troubleshooting_quotes_existing_messages() -> None:
    messages = re.findall(
        r"^### `([^`]+)`", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE
    )
    assert len(messages) > 8
    assert not [message for message in messages if message not in SOURCES]


def test_readme_starts_with_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[0] == "make slim\nmake test\n"
