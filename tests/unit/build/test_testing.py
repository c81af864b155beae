"""The verdict on an image: what a report must show before a tag moves, and what has no say in
it.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.build import record, testing
from worker_images.engine.images import Images
from worker_images.errors import EngineError, FailedTestsError
from worker_images.files import ROOT

MADE = record.Record(
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
)
CHECKS = ("tests/image/test_a.py::test_one", "tests/image/test_a.py::test_two[x]")
NOT_RUN = "not run: no CAP_SYS_TIME"


@dataclass
class Work:
    """As much of a build as a verdict asks for."""

    out: Path
    images: Images
    said: list[str]

    def progress(self, text: str) -> None:
        self.said.append(text)


class Removed(Images):
    """An engine that forgets what it is told to forget."""

    def remove(self, identity: str) -> None:
        assert identity == MADE.engine_id


def write(
    folder: Path,
    *,
    ran: dict[str, str],
    collected: tuple[str, ...] = CHECKS,
    image_id: str = "sha256:id",
    engine_id: str = "",
) -> None:
    """A report as the image layer writes it: each check with the tag of its outcome, a skip's
    reason, or nothing.
    """
    suite = ET.Element("testsuite", timestamp="2026-11-23T15:37:29.041817+01:00")
    properties = ET.SubElement(suite, "properties")
    names = "[" + ", ".join(f'"{name}"' for name in collected) + "]"
    for name, value in (
        ("image_id", image_id),
        ("engine_id", engine_id or MADE.engine_id),
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
def verdict(tmp_path: Path) -> Callable[[int], list[str]]:
    """Judge the report below the folder by a status, and return what was said."""
    (tmp_path / "image.log").write_text("line one\nthe last line")

    def run(status: int) -> list[str]:
        work = Work(tmp_path, Removed.__new__(Removed), [])
        # The tests' process is apart.
        testing._verdict(work, MADE, status, "kept")  # type: ignore[arg-type]  # noqa: SLF001
        return work.said

    return run


ALL_PASSED = dict.fromkeys(CHECKS, "")


def test_image_passes_when_every_collected_check_ran(
    verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED)
    assert verdict(0) == ["slim passed 2 checks"]


def test_check_that_the_machine_cannot_run_is_told_with_its_reason(
    verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: NOT_RUN})
    assert verdict(0) == ["slim passed 1 checks; not run: no CAP_SYS_TIME (1 checks)"]


@pytest.mark.parametrize("outcome", ["failure", "error"])
def test_failed_check_in_the_report_fails_the_image(
    outcome: str, verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: outcome})
    with pytest.raises(FailedTestsError, match="slim failed 1 check; the tag is unchanged; kept"):
        verdict(1)


@pytest.mark.parametrize("status", [0, 2, 4, -9])
def test_failed_check_of_a_run_that_did_not_end_is_the_machines_fault(
    status: int, verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    """An engine that goes away fails the check that meets it."""
    write(tmp_path, ran=ALL_PASSED | {CHECKS[1]: "failure"})
    with pytest.raises(EngineError, match=r"the tests could not finish \(status"):
        verdict(status)


INCOMPLETE = {
    "a check left out": (
        {"ran": {CHECKS[0]: ""}},
        0,
        "1 of 2 checks ran: tests/image/test_a.py::test_two[x]",
    ),
    "a check of somebody else": (
        {"ran": ALL_PASSED | {"other.py::test": ""}},
        0,
        "3 of 2 checks ran: other.py::test",
    ),
    "no check": ({"ran": {}, "collected": ()}, 0, "0 of 0 checks ran"),
    "another image": (
        {"ran": ALL_PASSED, "image_id": "sha256:other"},
        0,
        "the report is of image sha256:other",
    ),
    "another image of the engine": (
        {"ran": ALL_PASSED, "engine_id": "sha256:other"},
        0,
        "(sha256:other), not of sha256:id",
    ),
    "a skip without a reason": (
        {"ran": ALL_PASSED | {CHECKS[0]: "got empty parameter set"}},
        0,
        "skipped without a reason",
    ),
    "a status without a failed check": (
        {"ran": ALL_PASSED},
        1,
        "the tests could not finish (status 1): line one",
    ),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_report_that_does_not_show_all_passed_is_the_machines_fault(
    name: str, verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    """Exit 4, with the cause: only a report that names a failed check refuses an image."""
    report, status, words = INCOMPLETE[name]
    write(tmp_path, **report)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=re.escape(words)):
        verdict(status)
    assert not (tmp_path / "image.xml").exists()


@pytest.mark.parametrize("text", [None, "", "<testsuites>", "<testsuites/>"])
@pytest.mark.parametrize("status", [0, 1, 4, -9])
def test_run_without_a_report_is_the_machines_fault(
    text: str | None, status: int, verdict: Callable[[int], list[str]], tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "image.xml").write_text(text)
    with pytest.raises(EngineError, match="the tag is unchanged"):
        verdict(status)


def test_full_disk_is_named_with_its_folder(
    verdict: Callable[[int], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest then ends in the middle of a line."""
    monkeypatch.setattr(testing, "LEAST_BYTES", 10**18)
    with pytest.raises(EngineError, match=rf"testing slim: {tmp_path}: no space left on device"):
        verdict(1)


def test_tests_get_nothing_that_could_choose_checks(tmp_path: Path) -> None:
    caller = {
        "PATH": "/bin",
        "PYTHONPATH": "x",
        "PYTHONOPTIMIZE": "1",
        "PYTEST_ADDOPTS": "-k x",
        "WRITE_LEDGER": "1",
        "TMPDIR": "/small",
    }
    assert testing.environment(caller, tmp_path) == {"PATH": "/bin", "TMPDIR": str(tmp_path)}


def collected(root: Path = ROOT, **environment: str) -> tuple[int, list[str]]:
    """The checks that the isolated tests find, for an image that is not looked at yet."""
    command = [
        sys.executable,
        "-I",
        str(root / testing.PROGRAM),
        "--collect-only",
        "-q",
        "--variant",
        "slim",
    ]
    result = subprocess.run(
        command, cwd="/", env=os.environ | environment, capture_output=True, text=True, check=False
    )
    return result.returncode, [line for line in result.stdout.splitlines() if "::" in line]


def test_interrupt_ends_the_tests_also_where_a_shell_ignores_it(tmp_path: Path) -> None:
    """A shell script that starts build.py in the background has it ignore Ctrl-C, by which build.py
    ends its tests.
    """
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
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "survived" not in result.stdout
    assert result.returncode != 0
