"""The report's checks, layers and drivers."""

from collections.abc import Callable
from pathlib import Path

from worker_images.model import project
from worker_images.report import report
from worker_images.report.report import Report


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
        "gpu-checkpoint",
    ]
    assert (slim.size, slim.budget) == (sum(size for _, _, size in slim.layers), 124_000_000)


def test_fleet_drivers_have_spans_of_releases(checkout: Path) -> None:
    drivers = report.read(project.read(checkout)).drivers
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
    found = report.read(project.read(checkout))
    assert (found.drivers.served, {*found.drivers.refused}) == ((), {*found.drivers.fleet})
    assert "Drivers of the fleet that are not served: 535.129.03, 580.159.04." in report.page(found)
