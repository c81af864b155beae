"""The report on JUnit files, archives and records, also where they are invalid, old or absent."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.archives import layer, write
from worker_images.build.record import Record
from worker_images.cli import main as cli
from worker_images.errors import FailedTestsError
from worker_images.model.oci.outline import outline
from worker_images.report import report
from worker_images.report.report import Report

HOSTILE = "<script>alert(1)</script> & \"'>\nsecond line"


# A record as a build writes it: the report reads the same keys.
RECORD = Record(
    variant="slim",
    source="packages",
    versions={"gvisor": "20260622.0"},
    key={},
    image_id="",
    manifest_digest="",
    size=0,
    compressed_size=0,
    engine_id="",
    engine="Docker 0",
    seconds=0.0,
    revision="0123456789abcdef",
    lacks=("no GPU",),
)


Case = tuple[str, str, str | None, str]


def junit(path: Path, *cases: Case, image_id: str = "") -> None:
    """A JUnit file as pytest writes it, of (classname, name, outcome's tag, message)."""
    suite = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
    ET.SubElement(ET.SubElement(suite, "properties"), "property", name="image_id", value=image_id)
    for module, name, tag, message in cases:
        case = ET.SubElement(suite, "testcase", classname=module, name=name)
        if tag:
            ET.SubElement(case, tag, message=message)
    path.parent.mkdir(parents=True, exist_ok=True)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path)


def passed(module: str, name: str = "test_one") -> Case:
    return f"tests.{module}", name, None, ""


@pytest.fixture
def make_report(checkout: Path) -> Callable[..., Report]:
    """Return the report on a checkout with both images built.

    The given cases are of slim's image layer; all other checks passed.
    """
    junit(checkout / "out/tests/unit.xml", passed("unit.test_x"))
    junit(checkout / "out/tests/static.xml", passed("static.test_x"))
    junit(
        checkout / "out/tests/mutation.xml",
        passed("mutation.test_mutants", "test_mutant_fails_its_checks[a]"),
    )
    mutant = checkout / "tests/mutation/a/mutant.yaml"
    mutant.parent.mkdir(parents=True)
    mutant.write_text(
        'variant: "full"\ndefect: "runsc was built for arm64"\ncaught_by:'
        ' ["test_runsc::test_runsc_is_built_for_the_architecture"]\n'
    )

    def make(*cases: Case, tested: str | None = None) -> Report:
        for variant, count in (("slim", 2), ("full", 6)):
            folder = checkout / "out" / variant
            folder.mkdir(parents=True)
            image_id = outline(
                write(
                    folder / "image.tar",
                    [layer(("file", f"{variant}{number}", "")) for number in range(count)],
                )
            ).image_id
            replace(RECORD, variant=variant, image_id=image_id).write(folder / "build.json")
            extra = cases if variant == "slim" else ()
            junit(folder / "image.xml", passed("image.test_x"), *extra, image_id=tested or image_id)
            junit(folder / "workload.xml", passed("workload.test_x"), image_id=image_id)
        return report.read(checkout)

    return make


def counts(found: Report) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (row.layer.name, row.variant): (row.passed, row.failed, row.not_run)
        for row in found.rows
        if row.at
    }


def test_images_are_usable_if_all_checks_passed(make_report: Callable[..., Report]) -> None:
    found = make_report()
    assert (found.usable, found.verdict) == (True, "Yes: worker:slim and worker:full may be used.")
    assert (
        found.counts
        == "7 checks passed, 0 failed, 0 did not run; never run: variants, registry, node_kit,"
        " machine, component, mutation of slim, offline, engines, examples."
    )
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
    junit(checkout / "out/tests/unit.xml", failed)
    junit(checkout / "out/tests/static.xml", ("", "tests.static.test_y", "error", "collection"))
    assert (
        report.read(checkout).verdict
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
    found = report.read(checkout)
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


def test_check_is_described_by_its_name_and_docstrings(
    make_report: Callable[..., Report], checkout: Path
) -> None:
    (checkout / "tests/image").mkdir()
    (checkout / "tests/image/test_x.py").write_text(
        '"""Is it complete?"""\n\ndef test_two_words():\n    """A hint.\n\n    More."""\n'
    )
    check = make_report(("tests.image.test_x", "test_two_words[a]", None, "")).checks
    described = [
        (each.subject, each.title, each.note, each.parameter) for each in check if each.parameter
    ]
    assert ("Is it complete?", "Two words", "A hint.", "a") in described
    assert (
        "tests/mutation/test_mutants.py",
        "Runsc was built for arm64",
        "test_runsc::test_runsc_is_built_for_the_architecture",
        "a",
    ) in described


def test_layers_are_named_by_component(make_report: Callable[..., Report]) -> None:
    slim, full = make_report().images
    assert [name for name, _, _ in slim.layers] == ["base", "gvisor"]
    assert [name for name, _, _ in full.layers] == [
        "base",
        "gvisor",
        "runc",
        "criu",
        "nvidia-container-toolkit",
        "cuda-runtime",
    ]
    assert (slim.size, slim.budget) == (sum(size for _, _, size in slim.layers), 124_000_000)


def test_fleet_drivers_have_spans_of_releases(checkout: Path) -> None:
    drivers = report.read(checkout).drivers
    spans = drivers.fleet["535.129.03"]
    assert [(span.served, span.first, span.last) for span in spans] == [
        (False, "20231009.0", "20231120.0"),
        (True, "20231204.0", "20240826.0"),
        (False, "20240916.0", "20250512.0"),
        (True, "20250611.0", "20260817.0"),
    ]
    assert [span.begin for span in spans[1:]] == [span.begin + span.count for span in spans[:-1]]
    assert sum(span.count for span in spans) == len(drivers.releases)
    assert {*drivers.fleet} <= {*drivers.served}
    assert not {*drivers.served} & {*drivers.refused}


def test_release_without_an_entry_serves_no_driver(checkout: Path) -> None:
    versions = checkout / "versions.yaml"
    versions.write_text(versions.read_text().replace('"20260622.0"', '"20991231.0"'))
    found = report.read(checkout)
    assert (found.drivers.served, {*found.drivers.refused}) == ((), {*found.drivers.fleet})
    assert "Drivers of the fleet that are not served: 535.129.03, 580.159.04." in report.page(found)
