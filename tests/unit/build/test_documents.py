"""Documents show the current output of their commands."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import documents
from worker_images.errors import EngineError
from worker_images.files import ROOT
from worker_images.model.project import Project


def test_committed_documents_are_current(project: Project) -> None:
    """`make accept` writes them."""
    files = documents.files(project)
    assert {path.name for path in files} == {"drivers.md", "drivers.svg", "troubleshooting.md"}
    assert [path.name for path, text in files.items() if path.read_text() != text] == []


def test_page_contains_commands() -> None:
    """Control of the test above."""
    assert len(documents.BLOCK.findall((ROOT / documents.PAGE).read_text())) >= 7


def test_output_is_replaced_when_it_is_old(tmp_path: Path) -> None:
    page = "before\n```\n$ printf 'new\\n'\nold\n```\nafter\n"
    assert (
        documents.with_output(page, tmp_path) == "before\n```\n$ printf 'new\\n'\nnew\n```\nafter\n"
    )


def test_chart_changes_with_the_table(project: Project, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / documents.PAGE).write_text("no commands\n")
    (tmp_path / documents.CAUSES_PAGE).write_text("no table\n")
    (tmp_path / "worker_images").symlink_to(ROOT / "worker_images")
    shorter = replace(project.table, releases=project.table.releases[:-1])
    found = documents.files(replace(project, root=tmp_path, table=shorter))
    assert found[tmp_path / documents.CHART] != (ROOT / documents.CHART).read_text()


def test_page_has_a_row_for_every_cause() -> None:
    text = (ROOT / documents.CAUSES_PAGE).read_text()
    rows = json.loads((ROOT / documents.CAUSES).read_text())
    assert len(rows) > 40
    assert [row["name"] for row in rows if f"\n| {row['name']} | " not in text] == []
    old = text.replace("| wrong ABI |", "| another name |")
    assert old != documents.with_causes(old, ROOT) == text


def test_command_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"\./nosuch: .*correct the command"):
        documents.with_output("```\n$ ./nosuch\nold\n```\n", tmp_path)
