"""The report as a page, as a table and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.cli import main as cli
from worker_images.report import report
from worker_images.report.report import Report

HOSTILE = "<script>alert(1)</script> & \"'>\nsecond line"


def test_page_escapes_markup_in_messages(make_report: Callable[..., Report]) -> None:
    page = report.page(
        make_report((f"tests.image.{HOSTILE}", f"test_{HOSTILE}", "failure", HOSTILE))
    )
    assert "alert(1)" in page
    assert "<script" not in page


def test_json_table_and_page_have_equal_counts(
    make_report: Callable[..., Report], checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_report(
        ("tests.image.test_x", "test_two", "failure", ""),
        ("tests.image.test_x", "test_three", "skipped", "not run: why"),
    )
    assert (
        cli.main(
            ["report", "--json", str(checkout / "a/b.json"), "--html", str(checkout / "a/b.html")],
            checkout,
        )
        == 0
    )
    data = json.loads((checkout / "a/b.json").read_text())
    lines = capsys.readouterr().out.splitlines()
    for row in data["rows"]:
        shown = (
            [str(row[key]) for key in ("passed", "failed", "not_run")]
            if row["at"]
            else ["-", "-", "all;"]
        )
        assert [row["layer"]["name"], row["variant"], *shown] in [
            line.split()[:5] for line in lines
        ]
        own = [
            check
            for check in data["checks"]
            if (check["layer"], check["variant"]) == (row["layer"]["name"], row["variant"])
        ]
        found = [
            sum(check["result"]["outcome"] == outcome for check in own)
            for outcome in ("passed", "failed", "not run")
        ]
        assert found == [row["passed"], row["failed"], row["not_run"]]
    page = (checkout / "a/b.html").read_text()
    assert [
        page.count(f'<b class="pill {each}">1') for each in ("passed", "failed", "not-run")
    ] == [7, 1, 1]


def test_page_refers_to_no_other_file(make_report: Callable[..., Report]) -> None:
    page = report.page(make_report())
    assert not [
        word
        for word in ("http:", "https:", "src=", "href=", "url(", "@import", "<script")
        if word in page
    ]
