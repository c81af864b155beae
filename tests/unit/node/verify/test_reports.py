"""verify takes the results of suites that ran before, if they are of all checks and the image."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support import archives
from tests.support.fake_worker import run
from worker_images import files
from worker_images.errors import UsageError
from worker_images.model import seal, suite
from worker_images.node import trust
from worker_images.node.verify import checklist

ROWS = checklist.load()
SUITES = ("image", "pod", "workload")


def checks_of(name: str) -> list[str]:
    return sorted({each for row in ROWS for each in row.tests if checklist.suite_of(each) == name})


def write(root: Path, name: str, failed: str = "", **properties: str) -> Path:
    """Write the sealed report of a suite in which every test of the checklist passes but one."""
    tests = checks_of(name)
    found = {
        "image_id": trust.image_id(root / "image.tar"),
        "suite": suite.digest(root, name),
        "checks": json.dumps(tests),
    } | properties
    element = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
    section = ET.SubElement(element, "properties")
    for key, value in found.items():
        ET.SubElement(section, "property", name=key, value=value)
    for test in tests:
        file, _, function = test.partition("::")
        module = file.removesuffix(".py").replace("/", ".")
        case = ET.SubElement(element, "testcase", classname=module, name=function)
        if function == failed:
            ET.SubElement(case, "failure", message="AssertionError: no")
    path = root / "results" / f"{name}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(ET.tostring(element, encoding="unicode"))
    seal.write(path, seal.own_key())
    return path


@pytest.fixture
def kit(kit_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit with an image, and a file of each suite."""
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    archives.write(kit_root / "image.tar", [archives.layer(("file", "etc/hello", "x"))])
    built = {"image_id": trust.image_id(kit_root / "image.tar")}
    (kit_root / "build.json").write_text(json.dumps(built))
    for name in SUITES:
        file = kit_root / f"tests/{name}/test_a.py"
        file.parent.mkdir(parents=True)
        file.write_text("# some tests\n")
    return kit_root


def options(root: Path) -> list[str]:
    return [f"--image={root / 'image.tar'}", f"--results={root / 'results'}"]


def test_reports_select_and_answer_the_rows_of_their_layers(kit: Path) -> None:
    for name in SUITES:
        write(kit, name)
    text, status, rows = run(kit, *options(kit))
    assert (status, text.splitlines()[-1]) == (0, "Yes: 21 of 21 checks passed; 2 not selected.")
    assert {row["layer"] for row in rows.values() if not row["selected"]} == {"static"}


def test_failed_check_of_a_report_fails_its_row(kit: Path) -> None:
    write(kit, "pod")
    write(kit, "workload", failed="test_torch_multiplies_matrices")
    text, status, _ = run(kit, *options(kit))
    assert status == 5
    assert text.splitlines()[-1].startswith("No: 20 of 21 checks passed, 1 failed")


def test_rows_of_a_pod_need_its_own_report(kit: Path) -> None:
    """The workload layer of this machine alone does not show a pod's RuntimeClass."""
    write(kit, "workload")
    _, _, rows = run(kit, *options(kit))
    row = rows["the pod has the RuntimeClass and a limit"]
    assert (row["selected"], row["step"]) == (False, "--context CTX")


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"image_id": "sha256:other"}, "has results of image sha256:other, not of sha256:"),
        ({"suite": ""}, "not of all checks of this checkout's tests/pod; run tests/pod again"),
        ({"checks": '["tests/pod/test_a.py::test_b"]'}, "of 1 checks ran"),
    ],
)
def test_report_of_something_else_is_refused(
    properties: dict[str, str], message: str, kit: Path
) -> None:
    write(kit, "pod", **properties)
    with pytest.raises(UsageError, match=message):
        run(kit, *options(kit))


def test_report_that_was_edited_is_refused(kit: Path) -> None:
    path = write(kit, "pod", failed="test_devices_open")
    path.write_text(path.read_text().replace("failure", "property"))
    with pytest.raises(UsageError, match=r"pod\.xml: the seal pod\.xml\.seal does not match"):
        run(kit, *options(kit))


def test_folder_without_a_report_is_refused(kit: Path) -> None:
    with pytest.raises(UsageError, match=r"contains none of image\.xml, pod\.xml, workload\.xml"):
        run(kit, *options(kit))


def test_two_reports_of_a_suite_are_refused(kit: Path) -> None:
    write(kit, "pod")
    with pytest.raises(UsageError, match="also has results of tests/pod; pass one of the two"):
        run(kit, *options(kit), f"--results={kit / 'results'}")


def test_file_names_one_report_of_a_folder(kit: Path) -> None:
    """A folder of built images has results of two layers, of which one may be older."""
    write(kit, "image")
    write(kit, "workload")
    only = kit / "results/image.xml"
    _, _, rows = run(kit, f"--image={kit / 'image.tar'}", f"--results={only}")
    assert {row["layer"] for row in rows.values() if row["selected"]} == {"image"}


def test_file_that_is_no_report_is_refused(kit: Path) -> None:
    with pytest.raises(UsageError, match=r"image\.tar: is none of image\.xml, pod\.xml, workl"):
        run(kit, f"--image={kit / 'image.tar'}", f"--results={kit / 'image.tar'}")


def test_results_without_an_image_are_refused(kit: Path) -> None:
    _, status, _ = run(kit, f"--results={kit / 'results'}")
    assert status == 2
