"""Documents show the output of the commands in them."""

import shutil
from dataclasses import replace
from pathlib import Path

from worker_images.build import documents
from worker_images.files import ROOT
from worker_images.model.project import Project


def test_committed_documents_show_current_output(project: Project) -> None:
    """`make accept` writes them."""
    files = documents.files(project)
    assert {path.name for path in files} == {"drivers.md", "drivers.svg"}
    assert [path.name for path, text in files.items() if path.read_text() != text] == []


def test_page_shows_commands() -> None:
    """The control of the test above."""
    assert len(documents.BLOCK.findall((ROOT / documents.PAGE).read_text())) >= 7


def test_old_output_is_replaced(tmp_path: Path) -> None:
    page = "before\n```\n$ printf 'new\\n'\nold\n```\nafter\n"
    assert documents.shown(page, tmp_path) == "before\n```\n$ printf 'new\\n'\nnew\n```\nafter\n"


def test_chart_follows_the_table(project: Project, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / documents.PAGE, tmp_path / documents.PAGE)
    shorter = replace(project.table, releases=project.table.releases[:-1])
    found = documents.files(replace(project, root=tmp_path, table=shorter))
    assert found[tmp_path / documents.CHART] != (ROOT / documents.CHART).read_text()
