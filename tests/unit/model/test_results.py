"""JUnit files are read as values."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile import bounded
from worker_images.model import results, xml
from worker_images.model.results import FAILED, NOT_RUN, PASSED, Check, Result, ResultsError

PARTS = (b"<a>", b"</a>", b'"', b"&amp;", b"&x;", b"<![CDATA[", b"<!--", b"<!DOCTYPE a>")
SUITE = """<testsuites><testsuite timestamp="2026-11-23T15:37:29.041817+01:00">
<properties><property name="image_id" value="sha256:abc"/></properties>
<testcase classname="tests.image.test_a" name="test_one[x/y.z]" time="1.5">
  <properties><property name="seen" value="a thing"/></properties></testcase>
<testcase classname="tests.image.test_a" name="test_two" time="0">
  <skipped message="not run: no engine"/></testcase>
<testcase classname="tests.image.test_a" name="test_three" time="0">
  <skipped message="got empty parameter set"/></testcase>
<testcase classname="tests.image.test_a" name="test_four" time="0">
  <failure message="AssertionError: no"/></testcase>
<testcase classname="tests.image.test_a" name="test_five" time="0"><error>text</error></testcase>
<testcase classname="" name="tests.image.test_b" time="0">
  <error message="collection failure"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def run(tmp_path: Path) -> results.Run:
    (tmp_path / "junit.xml").write_text(SUITE)
    return results.read(tmp_path / "junit.xml")


def test_junit_file_gives_each_check_its_result(run: results.Run) -> None:
    assert {check.identity: check.result for check in run.checks} == {
        "tests/image/test_a.py::test_one[x/y.z]": Result(PASSED, "a thing"),
        "tests/image/test_a.py::test_two": Result(NOT_RUN, reason="no engine"),
        "tests/image/test_a.py::test_three": Result(
            NOT_RUN, reason=f"{results.UNEXPLAINED}got empty parameter set"
        ),
        "tests/image/test_a.py::test_four": Result(FAILED, reason="AssertionError: no"),
        "tests/image/test_a.py::test_five": Result(FAILED, reason="text"),
        "tests/image/test_b.py": Result(FAILED, reason="collection failure"),
    }


def test_junit_file_gives_its_time_properties_and_counts(run: results.Run) -> None:
    assert (run.at, run.properties) == ("2026-11-23 14:37Z", {"image_id": "sha256:abc"})
    assert results.count(run.checks) == {PASSED: 1, NOT_RUN: 2, FAILED: 3}
    assert [check.function for check in run.with_outcome(PASSED)] == ["test_one"]
    assert run.checks[0].seconds == 1.5


def test_identity_gives_file_layer_test_and_parameter(run: results.Run) -> None:
    check = run.checks[0]
    assert (check.file, check.layer) == ("tests/image/test_a.py", "image")
    assert (check.test, check.parameter) == ("tests/image/test_a.py::test_one", "x/y.z")


CASE = '<testcase classname="tests.image.test_a" name="test_a" time="0"/>'
START = '<testsuite timestamp="2026-11-23T15:37:29+01:00">'
LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
INVALID = (
    "",
    "<testsuites>",
    "<testsuites/>",
    "<testsuite/>",
    f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>{START}&l9;</testsuite>',
    f'<!DOCTYPE a SYSTEM "file:///etc/passwd">{START}</testsuite>',
    f"{START}{'<a>' * 10_000}{'</a>' * 10_000}</testsuite>",
    f"{START}{CASE.replace('0', 'soon')}</testsuite>",
    f"{START}{CASE.replace('0', 'nan')}</testsuite>",
    f"{START}{CASE.replace('tests.', 'other.')}</testsuite>",
    f"{START}{CASE.replace('tests.image.test_a', '../../etc')}</testsuite>",
    '<testsuite timestamp="0001-01-01T00:00:00+14:00"/>',
    "<?xml version='1.0' encoding='nosuch'?><testsuite timestamp='now'/>",
    "\x00",
)


@pytest.mark.parametrize("text", INVALID)
def test_incomplete_junit_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(text)
    with pytest.raises(ResultsError, match="not a JUnit file") as error:
        results.read(tmp_path / "junit.xml")
    assert "\n" not in str(error.value)


def test_valid_junit_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(f"{START}{CASE}</testsuite>")
    assert results.read(tmp_path / "junit.xml").checks == (
        Check("tests/image/test_a.py::test_a", Result(PASSED)),
    )


def test_junit_file_is_read_only_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "MAX_BYTES", 1 << 20)
    with pytest.raises(ResultsError, match="more than 1 MiB of XML"):
        results.read(Path("/dev/zero"))


@bounded
@given(st.integers(0, len(SUITE)), st.binary(max_size=8) | st.sampled_from(PARTS))
def test_changed_junit_file_is_read_or_refused(place: int, noise: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(SUITE[:place].encode() + noise + SUITE[place:].encode())
        file.flush()
        with contextlib.suppress(ResultsError):
            assert all(check.layer for check in results.read(Path(file.name)).checks)


def test_check_gets_the_docstrings_of_its_module_and_test(tmp_path: Path) -> None:
    path = tmp_path / "tests/image/test_a.py"
    path.parent.mkdir(parents=True)
    path.write_text('"""Is it there?"""\n\ndef test_a_b():\n    """A\n    hint.\n\n    More."""\n')
    check = Check("tests/image/test_a.py::test_a_b[x]", Result(PASSED))
    found = results.with_docstrings(check, tmp_path)
    assert (found.subject, found.title, found.note) == ("Is it there?", "A b", "A hint.")
    other = results.with_docstrings(
        Check("tests/image/test_z.py::test_c", Result(PASSED)), tmp_path
    )
    assert (other.subject, other.title, other.note) == ("tests/image/test_z.py", "C", "")


def test_failure_counts_more_than_a_skip(tmp_path: Path) -> None:
    """A test that was skipped, and whose teardown failed, has both."""
    both = '><skipped message="not run: x"/><error/></testcase>'
    (tmp_path / "junit.xml").write_text(f"{START}{CASE.replace('/>', both)}</testsuite>")
    (check,) = results.read(tmp_path / "junit.xml").checks
    assert check.result.outcome == FAILED
