"""Results of an image's tests: what the report must show before the image is tagged."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands
from worker_images import files
from worker_images.build import record, testing
from worker_images.build.jobs import Request
from worker_images.engine.images import Images
from worker_images.errors import EngineError, FailedTestsError
from worker_images.files import ROOT
from worker_images.model import seal

RECORD = record.Record(
    "slim",
    "packages",
    {},
    {},
    "sha256:id",
    "sha256:manifest",
    2,
    1,
    "sha256:manifest",
    "Docker 0",
    0.0,
    "",
    "amd64",
)
CHECKS = ("tests/image/test_a.py::test_one", "tests/image/test_a.py::test_two[x]")
NOT_RUN = "not run: no CAP_SYS_TIME"


@dataclass
class Job:
    """The parts of a build job that reading results needs."""

    out: Path
    images: Images
    messages: list[str]
    request: Request = Request("slim")  # noqa: RUF009 - a request is frozen

    def progress(self, text: str) -> None:
        self.messages.append(text)


class Removed(Images):
    """An engine that accepts the removal of the tested image only."""

    def remove(self, identity: str) -> None:
        assert identity == RECORD.engine_id


def write(
    folder: Path,
    *,
    ran: dict[str, str],
    collected: tuple[str, ...] = CHECKS,
    image_id: str = "sha256:id",
    engine_id: str = "",
) -> None:
    """Write a report as the image layer does.

    Each check has the XML tag of its failure, the reason of a skip, or nothing.
    """
    suite = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
    properties = ET.SubElement(suite, "properties")
    names = "[" + ", ".join(f'"{name}"' for name in collected) + "]"
    for name, value in (
        ("image_id", image_id),
        ("engine_id", engine_id or RECORD.engine_id),
        ("checks", names),
    ):
        ET.SubElement(properties, "property", name=name, value=value)
    for name, outcome in ran.items():
        module, _, test = name.partition(".py::")
        case = ET.SubElement(suite, "testcase", classname=module.replace("/", "."), name=test)
        if outcome in {"failure", "error"}:
            ET.SubElement(case, outcome, message="")
        elif outcome:
            ET.SubElement(case, "skipped", message=outcome)
    ET.ElementTree(suite).write(folder / "image.xml")


@pytest.fixture
def check_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Check the report for an exit status of pytest, and return the messages."""
    monkeypatch.setattr(files, "CACHE", tmp_path / "cache")
    (tmp_path / "image.log").write_text("line one\nthe last line")

    def run(status: int) -> list[str]:
        job = Job(tmp_path, Removed.__new__(Removed), [])
        # Without the process that runs the tests.
        testing._check_results(job, RECORD, status, "kept")  # type: ignore[arg-type]  # noqa: SLF001
        return job.messages

    return run


ALL_PASSED = dict.fromkeys(CHECKS, "")


def test_image_passes_and_its_report_is_sealed_when_every_collected_check_ran(
    check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED)
    assert check_results(0) == ["slim passed 2 checks"]
    report = tmp_path / "image.xml"
    assert seal.fault(report, report.read_bytes(), [seal.own_key()]) == ""


def test_complete_report_is_sealed_and_an_incomplete_one_is_not(
    check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    report = tmp_path / "image.xml"
    write(tmp_path, ran={CHECKS[0]: ""})
    with pytest.raises(EngineError, match="1 of 2 checks ran"):
        check_results(0)
    assert not seal.beside(report).exists()
    write(tmp_path, ran=ALL_PASSED)
    check_results(0)
    assert seal.fault(report, report.read_bytes(), [seal.own_key()]) == ""


def test_check_that_did_not_run_is_reported_with_its_reason(
    check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: NOT_RUN})
    assert check_results(0) == ["slim passed 1 check; not run: no CAP_SYS_TIME (1 check)"]


@pytest.mark.parametrize("outcome", ["failure", "error"])
def test_image_fails_when_a_check_failed(
    outcome: str, check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: outcome})
    with pytest.raises(FailedTestsError, match="slim failed 1 check; the tag is unchanged; kept"):
        check_results(1)


@pytest.mark.parametrize("status", [0, 2, 4, -9])
def test_failed_check_of_an_unfinished_run_is_an_engine_error(
    status: int, check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    """A check also fails when the engine stops during it."""
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: "failure"})
    with pytest.raises(EngineError, match=r"the tests could not finish \(status"):
        check_results(status)


INCOMPLETE = {
    "a missing check": (
        {"ran": {CHECKS[0]: ""}},
        0,
        "1 of 2 checks ran: tests/image/test_a.py::test_two[x]",
    ),
    "an unexpected check": (
        {"ran": ALL_PASSED | {"tests/image/test_b.py::test": ""}},
        0,
        "3 of 2 checks ran: tests/image/test_b.py::test",
    ),
    "a list that is not one": ({"ran": {}, "collected": ('", "a": {',)}, 0, "0 of 0 checks ran"),
    "no check": ({"ran": {}, "collected": ()}, 0, "0 of 0 checks ran"),
    "another image": (
        {"ran": ALL_PASSED, "image_id": "sha256:other"},
        0,
        "the report is for image sha256:other",
    ),
    "another image of the engine": (
        {"ran": ALL_PASSED, "engine_id": "sha256:other"},
        0,
        "(sha256:other), not for sha256:id",
    ),
    "a skip without a reason": (
        {"ran": ALL_PASSED | {CHECKS[0]: "got empty parameter set"}},
        0,
        "skipped without a reason",
    ),
    "a status without a failed check": ({"ran": ALL_PASSED}, 1, "(status 1): line one"),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_report_is_an_engine_error(
    name: str, check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    """Exit 4 with the cause. Only a report with a failed check rejects the image."""
    report, status, message = INCOMPLETE[name]
    write(tmp_path, **report)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=re.escape(message)):
        check_results(status)
    assert not (tmp_path / "image.xml").exists()
    assert not (tmp_path / "image.xml.seal").exists()


@pytest.mark.parametrize("text", [None, "", "<testsuites>", "<testsuites/>"])
@pytest.mark.parametrize("status", [0, 1, 4, -9])
def test_run_without_a_report_is_an_engine_error(
    text: str | None, status: int, check_results: Callable[[int], list[str]], tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "image.xml").write_text(text)
    with pytest.raises(EngineError, match="the tag is unchanged"):
        check_results(status)


def test_full_disk_error_names_the_folder(
    check_results: Callable[[int], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is then cut off."""
    monkeypatch.setattr(testing, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(EngineError, match=rf"testing slim: {tmp_path}: no space left on device"):
        check_results(1)


def test_environment_excludes_variables_that_choose_checks(tmp_path: Path) -> None:
    caller = {
        "PATH": "/bin",
        "PYTHONPATH": "x",
        "PYTHONOPTIMIZE": "1",
        "PYTEST_ADDOPTS": "-k x",
        "WRITE_LEDGER": "1",
        "TMPDIR": "/small",
    }
    assert testing.environment(caller, tmp_path) == {"PATH": "/bin", "TMPDIR": str(tmp_path)}


def test_interrupt_ends_the_tests_when_a_shell_ignores_it(tmp_path: Path) -> None:
    """build.py ends its tests with SIGINT, which background processes of a shell ignore."""
    (tmp_path / "pytest.py").write_text(
        "import os, signal\ndef main(_):\n    os.kill(os.getpid(), signal.SIGINT)\n   "
        " print('survived')\n    return 0\n"
    )
    program = (
        f"import signal, sys; sys.path.insert(0, {str(tmp_path)!r}); signal.signal(signal.SIGINT,"
        " signal.SIG_IGN)\n"
    )
    program += (
        f"import runpy; runpy.run_path({str(ROOT / testing.PROGRAM)!r}, run_name='__main__')\n"
    )
    result = commands.run([sys.executable, "-c", program])
    assert "survived" not in result.stdout
    assert result.returncode != 0
