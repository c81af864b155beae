"""The report's verdict on results, also where they are invalid, old or absent."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import junit
from worker_images.cli import main as cli
from worker_images.errors import FailedTestsError
from worker_images.model import project
from worker_images.model.layers import LAYERS
from worker_images.report import report
from worker_images.report.report import Report

Capture = pytest.CaptureFixture[str]


def counts(found: Report) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (row.layer.name, row.variant): (row.passed, row.failed, row.not_run)
        for row in found.rows
        if row.at
    }


def test_images_are_usable_if_all_checks_passed(make_report: Callable[..., Report]) -> None:
    found = make_report()
    assert (found.usable, found.verdict) == (True, "Yes: worker:slim and worker:full may be used.")
    text, _, never = found.counts.partition("; never run: ")
    assert text == "7 checks passed, 0 failed, 0 did not run"
    ran = {row.layer.name for row in found.rows if row.at}
    assert {layer.name for layer in LAYERS} - ran < {*re.findall("[a-z_]+", never)}
    assert "mutation of slim, " in never
    assert counts(found) == {
        ("unit", "all"): (1, 0, 0),
        ("static", "all"): (1, 0, 0),
        ("image", "slim"): (1, 0, 0),
        ("image", "full"): (1, 0, 0),
        ("workload", "slim"): (1, 0, 0),
        ("workload", "full"): (1, 0, 0),
        ("mutation", "full"): (1, 0, 0),
    }
    assert {row.at for row in found.rows if row.at} == {"2026-11-23 14:37Z"}


@pytest.mark.parametrize("tag", ["failure", "error"])
def test_failed_check_makes_its_image_unusable(
    tag: str, make_report: Callable[..., Report]
) -> None:
    found = make_report(("tests.image.test_x", "test_two", tag, "it broke\nmore"))
    assert (found.usable, counts(found)["image", "slim"]) == (False, (1, 1, 0))
    assert found.verdict == "No: do not use worker:slim (1 check failed). worker:full may be used."
    assert "\nfailed: tests/image/test_x.py::test_two (slim): it broke more\n" in report.text(found)
    assert "<h1>No: do not use worker:slim" in report.page(found)


def test_failed_unit_test_makes_every_image_unusable(
    make_report: Callable[..., Report], checkout: Path
) -> None:
    found = make_report()
    assert found.usable
    failed = ("tests.unit.test_x", "test_one", "failure", "")
    junit.write(checkout / "out/tests/unit.xml", failed)
    junit.write(
        checkout / "out/tests/static.xml", ("", "tests.static.test_y", "error", "collection")
    )
    assert (
        report.read(project.read(checkout)).verdict
        == "No: do not use worker:slim (2 checks failed) or worker:full (2 checks failed)."
    )


def test_check_that_did_not_run_has_a_reason_and_is_not_passed(
    make_report: Callable[..., Report],
) -> None:
    found = make_report(
        (
            "tests.image.test_x",
            "test_two",
            "skipped",
            "not run: the engine cannot give CAP_SYS_RESOURCE",
        )
    )
    assert (found.usable, counts(found)["image", "slim"]) == (True, (1, 0, 1))
    assert (
        "\nnot run: 1 check of image (slim): the engine cannot give CAP_SYS_RESOURCE\n"
        in report.text(found)
    )
    assert "1 did not run" in found.counts


def test_image_is_unusable_if_another_one_was_tested(make_report: Callable[..., Report]) -> None:
    assert (
        "worker:slim (not tested; run: make test-image)"
        in make_report(tested=f"sha256:{'0' * 64}").verdict
    )


def test_failure_in_a_newer_build_is_reported_as_such(
    make_report: Callable[..., Report],
) -> None:
    found = make_report(
        ("tests.image.test_x", "test_two", "failure", ""), tested=f"sha256:{'0' * 64}"
    )
    assert found.images[0].refused == "1 check failed in a newer build"


def test_report_without_results_names_the_commands(checkout: Path) -> None:
    found = report.read(project.read(checkout))
    assert not found.usable
    assert "worker:slim (not built; run: make slim)" in found.verdict
    assert "never run: unit, static, image of slim" in found.counts
    assert "make test-mutation" in report.text(found)
    assert "<h1>No" in report.page(found)


@pytest.mark.parametrize(
    "text",
    [
        "<testsuites><testsuite",
        "<testsuites/>",
        '<testsuites><testsuite timestamp="yesterday"/></testsuites>',
    ],
)
def test_truncated_junit_file_is_an_error(
    text: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "out/tests/unit.xml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert cli.main(["report"], checkout) == FailedTestsError.exit_code
    assert capsys.readouterr().err.startswith(f"build.py: {path}: not a JUnit file")


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"image_id": 1}', '{"image_id": "a", "revision": "b"}']
)
def test_malformed_record_is_an_error(
    text: str, make_report: Callable[..., Report], checkout: Path, capsys: Capture
) -> None:
    make_report()
    (checkout / "out/slim/build.json").write_text(text)
    assert cli.main(["report"], checkout) == 5
    error = capsys.readouterr().err
    assert f"{checkout}/out/slim/build.json: not a record: " in error
    assert error.count("\n") == 1


def test_text_of_a_check_cannot_control_a_terminal(
    make_report: Callable[..., Report], checkout: Path, capsys: Capture
) -> None:
    make_report(("tests.image.test_x", "test_two[\u202e]", "failure", "\x9b2J"))
    assert cli.main(["report"], checkout) == 0
    assert r"test_two[\u202e] (slim): \u009b2J" in capsys.readouterr().out
