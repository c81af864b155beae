"""The command verify selects rows by its options, prints results and returns an exit code."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import archives
from tests.support.fake_worker import Worker, run
from tests.support.records import RECORD
from worker_images.build.kit import PYTEST
from worker_images.files import ROOT
from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.node import trust
from worker_images.node.place import PlaceError
from worker_images.node.verify import checklist, page, suites

ROWS = checklist.load()
IMAGE_ROWS = [row for row in ROWS if row.layer == "image"]
BOOT = next(row for row in IMAGE_ROWS if "boots" in row.check)
SERVED = next(row for row in IMAGE_ROWS if row.needs)


def write_suite(root: Path, name: str, **bodies: str) -> None:
    """Write a suite in which every test of the checklist passes, except those in `bodies`."""
    tests = {test for row in ROWS for test in row.tests if checklist.suite_of(test) == name}
    for test in sorted(tests):
        file, function = test.split("::")
        body = bodies.get(function, f"record_property('seen', {function!r})")
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        with (root / file).open("a") as text:
            text.write(f"import pytest\ndef {function}(record_property): {body}\n")


@pytest.fixture
def kit(kit_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GPU kit with pytest settings and an image, without tests."""
    (kit_root / "pytest.ini").write_text(PYTEST)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    archives.write(kit_root / "image.tar", [archives.layer(("file", "etc/hello", "x"))])
    built = {"image_id": trust.image_id(kit_root / "image.tar")}
    (kit_root / "build.json").write_text(json.dumps(built))
    return kit_root


def image_of(root: Path) -> str:
    return f"--image={root / 'image.tar'}"


def test_image_rows_pass_by_the_workload_suite_in_a_kit(kit: Path) -> None:
    write_suite(kit, "workload")
    text, status, rows = run(kit, image_of(kit), "--driver", "580.159.04")
    assert (status, text.splitlines()[-1]) == (0, "Yes: 5 of 5 checks passed; 18 not selected.")
    assert rows[BOOT.check]["seen"] == "test_sandbox_kernel_is_gvisor"
    assert "\nnot run: tests/image is only in a checkout" in text
    assert {row["layer"] for row in rows.values() if row["selected"]} == {"image"}


def test_failed_test_fails_only_its_row(kit: Path) -> None:
    write_suite(kit, "workload", test_sandbox_kernel_is_gvisor="assert False, 'no sandbox'")
    text, status, rows = run(kit, image_of(kit))
    assert (status, rows[BOOT.check]["outcome"]) == (5, FAILED)
    assert rows[BOOT.check]["reason"] == "no sandbox"
    assert text.count("✗") == 1
    assert text.endswith("No: 3 of 4 checks passed, 1 failed; 19 not selected.")


def test_not_run_test_makes_its_row_not_run(kit: Path) -> None:
    write_suite(kit, "workload", test_sandbox_kernel_is_gvisor="pytest.skip('not run: no root')")
    text, status, rows = run(kit, image_of(kit))
    assert (status, rows[BOOT.check]["outcome"]) == (5, NOT_RUN)
    assert "no root" in rows[BOOT.check]["reason"]
    assert "○ image    a sandbox boots in the image" in text


def test_suite_that_cannot_run_is_reported_with_its_reason(kit: Path) -> None:
    (kit / "tests/workload").mkdir(parents=True)
    _, status, rows = run(kit, image_of(kit))
    assert status == 5
    reason = rows[BOOT.check]["reason"]
    assert "tests/workload: pytest exited with 4: ERROR: file or directory not found" in reason


def test_drivers_of_nodes_are_checked_when_named(kit: Path) -> None:
    write_suite(kit, "workload")
    without = run(kit, image_of(kit))[2][SERVED.check]
    named = run(kit, image_of(kit), "--driver", "580.159.04")[2][SERVED.check]
    assert (without["selected"], without["step"]) == (False, "--driver VERSION")
    assert (named["selected"], named["outcome"]) == (True, PASSED)


def test_options_reach_the_tests(kit: Path) -> None:
    write_suite(kit, "workload")
    body = (
        "def test_sandbox_kernel_is_gvisor(pytestconfig, record_property):\n   "
        " record_property('seen', "
    )
    file = kit / BOOT.tests[1].partition("::")[0]
    file.write_text(f"{body}repr([pytestconfig.getoption(x) for x in ('image', 'driver')]))\n")
    _, _, rows = run(kit, image_of(kit), "--driver", "1.2.3", "--driver", "4.5.6")
    assert rows[BOOT.check]["seen"] == repr([str(kit / "image.tar"), ["1.2.3", "4.5.6"]])


OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--source")
    parser.addoption("--arch")
"""


@pytest.fixture
def built(kit: Path) -> Path:
    """A checkout with an image for arm64 of source upstream, whose suites pass."""
    write_suite(kit, "workload")
    options = "[pytestconfig.getoption(x) for x in ('variant', 'source', '--arch')]"
    body = f"record_property('seen', repr({options}))"
    write_suite(kit, "image", **{test.partition("::")[2]: body for test in BOOT.tests})
    for file in (kit / "tests/image").glob("test_*.py"):
        text = file.read_text()
        file.write_text(text.replace("(record_property)", "(record_property, pytestconfig)"))
    (kit / "tests/image/conftest.py").write_text(OPTIONS)
    folder = kit / "out/slim-arm64"
    folder.mkdir(parents=True)
    shutil.copy(kit / "image.tar", folder)
    record = replace(RECORD, variant="slim", source="upstream", architecture="arm64")
    record.write(folder / "build.json")
    return folder


def test_image_suite_has_the_options_of_the_images_record(built: Path, kit: Path) -> None:
    seen = run(kit, f"--image={built / 'image.tar'}")[2][BOOT.check]["seen"]
    assert seen == "['slim', 'upstream', 'arm64']"


def test_image_suite_has_the_variant_of_the_folder_without_a_record(built: Path, kit: Path) -> None:
    (built / "build.json").unlink()
    seen = run(kit, f"--image={built / 'image.tar'}")[2][BOOT.check]["seen"]
    assert seen.startswith("['slim-arm64', None, None]")


def test_workload_suite_does_not_run_an_image_of_another_architecture(
    built: Path, kit: Path
) -> None:
    text = run(kit, f"--image={built / 'image.tar'}")[0]
    message = f"tests/workload: programs for arm64 do not run on this {suites.HOST} machine"
    assert message in text
    replace(RECORD, architecture=suites.HOST).write(built / "build.json")
    assert message not in run(kit, f"--image={built / 'image.tar'}")[0]


def test_image_suite_tests_only_images_of_this_checkout(tmp_path: Path) -> None:
    assert suites.build_of(tmp_path / "out/slim/image.tar", tmp_path) == suites.Build("slim")
    assert suites.build_of(tmp_path / "out/slim/other.tar", tmp_path) is None
    assert suites.build_of(tmp_path / "slim/image.tar", tmp_path) is None
    assert suites.build_of("worker:slim", tmp_path) is None


def test_missing_kubectl_is_named(kit_root: Path) -> None:
    with pytest.raises(PlaceError, match="kubectl not found: /no/kubectl; install it"):
        run(kit_root, "--context", "lab", "--kubectl", "/no/kubectl")


def test_options_that_select_nothing_are_a_usage_error(kit_root: Path) -> None:
    text, status, _ = run(kit_root)
    assert (status, text.startswith("nothing to check")) == (2, True)
    assert "--node needs an image" in run(kit_root, "--node", "--context", "lab")[0]
    assert run(kit_root, "--image", "any", "--python", "")[1] == 2


def test_missing_archive_is_named(kit_root: Path) -> None:
    with pytest.raises(PlaceError, match=r"no file /none/image\.tar"):
        run(kit_root, "--image", "/none/image.tar")


def test_missing_engine_is_named_for_an_image_reference(
    kit_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_DOCKER", str(kit_root / "docker"))
    with pytest.raises(PlaceError, match="No such file"):
        run(kit_root, "--image", "worker:slim")


def test_image_reference_is_saved_first(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(kit, "workload", test_sandbox_kernel_is_gvisor="assert pytest")
    docker, save = kit / "docker", f'cp {kit}/image.tar "${{2#--output=}}"'
    lost = 'test "$3" = worker:slim || { echo Cannot connect >&2; exit 1; }'
    docker.write_text(f"#!/bin/sh\n{save}; {lost}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("WORKER_DOCKER", str(docker))
    assert run(kit, "--image", "worker:slim")[1] == 0
    with pytest.raises(PlaceError, match="save worker:full: Cannot connect; for the private"):
        run(kit, "--image", "worker:full")


def test_node_needs_root(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(kit, "workload")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PlaceError, match="run as root"):
        run(kit, image_of(kit), "--node")


def test_workload_rows_have_the_results_of_their_tests_on_a_node(
    kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the pod that apply to a node have the tests of the workload layer there."""
    write_suite(kit, "workload", test_nvproxy_handles_every_driver_call="assert not 'a call'")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    _, status, rows = run(kit, image_of(kit), "--node")
    workload = {row["check"]: row["outcome"] for row in rows.values() if row["layer"] == "workload"}
    assert (status, workload.popitem()) == (5, (ROWS[-1].check, FAILED))
    assert set(workload.values()) == {PASSED}
    selected = [row for row in rows.values() if row["layer"] == "pod" and row["selected"]]
    assert [row["outcome"] for row in selected] == [PASSED] * 6
    assert selected[-1]["seen"] == "test_sandbox_kernel_is_gvisor"


def test_page_contains_every_row_and_escapes_text(worker: Worker, pod_kit: Path) -> None:
    variable = "NVIDIA_VISIBLE_DEVICES=<b>&"
    worker.write("environment", f"{variable}\nPATH={worker.tree}/bin:/usr/bin:/bin\n")
    path = pod_kit / "page.html"
    run(pod_kit, "--context", "lab", "--kubectl", worker.kubectl, "--html", str(path))
    html = path.read_text()
    assert html.count("<section>") == len(ROWS)
    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html
    assert "$" not in html.partition("<main>")[0]
    assert all(row.check.replace("'", "&#x27;") in html for row in ROWS)


def test_long_text_is_shortened() -> None:
    assert page.shorten("a " * 400).endswith("…")
    assert page.shorten("a\n b") == "a b"
