"""A release refuses a report whose bytes are not those that its test run sealed."""

from pathlib import Path

import pytest

from tests.support.handover import Report, subject
from worker_images import files
from worker_images.errors import EngineError, PolicyError
from worker_images.model import seal
from worker_images.release import results


def gather(root: Path, folder: Path) -> None:
    """Gather the results of the one subject."""
    results.gather(root, [subject(root)], [folder])


def test_sealed_report_is_accepted(small: Path) -> None:
    """The control of the tests below."""
    Report(failed=("test_three",)).write(small / "node", small)
    gather(small, small / "node")


EDITS = {
    "a check removed": ('<testcase classname="tests.workload.test_a" name="test_one" />', ""),
    "a failure removed": ("failure", "property"),
    "the image": ("1" * 64, "9" * 64),
    "the time": ("2026-11-23", "2026-11-26"),
    "a space": ("<testsuite ", "<testsuite  "),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_report_is_refused(name: str, small: Path) -> None:
    old, new = EDITS[name]
    path = Report(failed=("test_three",)).write(small / "node", small)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(PolicyError, match=f"{path}: the seal workload.xml.seal does not match"):
        gather(small, small / "node")


@pytest.mark.parametrize("length", [0, 1, 500, -1, -12])
def test_truncated_report_is_refused(length: int, small: Path) -> None:
    path = Report().write(small / "node", small)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PolicyError, match=f"{path}: the seal workload.xml.seal does not match"):
        gather(small, small / "node")


@pytest.mark.parametrize(
    "text", ["", "<testsuite>", "<testsuites/>", "not xml", "<!DOCTYPE a><a/>"]
)
def test_sealed_file_that_is_not_a_report_is_refused(text: str, small: Path) -> None:
    """A test process that crashed may have left it."""
    path = Report().write(small / "node", small)
    path.write_text(text)
    seal.write(path, seal.own_key())
    with pytest.raises(PolicyError, match=f"{path}: not a JUnit file"):
        gather(small, small / "node")


def test_report_without_a_seal_is_refused(small: Path) -> None:
    path = Report().write(small / "node", small, sealed=False)
    with pytest.raises(PolicyError, match=f"{path}: no seal workload.xml.seal"):
        gather(small, small / "node")


def test_report_of_another_layer_under_the_name_of_this_one_is_refused(small: Path) -> None:
    image = Report("image").write(small / "other", small)
    for path in (image, seal.beside(image)):
        path.rename(path.with_name(path.name.replace("image", "workload")))
    with pytest.raises(PolicyError, match="has checks of another layer than workload"):
        gather(small, small / "other")


def test_report_sealed_with_an_unknown_key_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files, "CACHE", small / "another user")
        path = Report().write(small / "node", small)
    with pytest.raises(PolicyError, match=f"{path}: the seal workload.xml.seal does not match"):
        gather(small, small / "node")


def test_unreadable_key_is_an_error_of_the_machine(small: Path) -> None:
    (small / "out/slim").mkdir(parents=True)
    (small / "out/slim" / seal.KIT_KEY).write_text("short")
    with pytest.raises(EngineError, match=r"gpu-kit\.key: not a key"):
        gather(small, small / "node")
