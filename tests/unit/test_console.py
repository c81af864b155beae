"""Errors become messages and exit codes in one place."""

import errno

import pytest

from worker_images import console
from worker_images.errors import EngineError, FailedTestsError, FetchError


def fail(error: BaseException) -> tuple[int, str]:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (FetchError("no answer"), 3, "program: no answer\n"),
        (EngineError("one\ntwo"), 4, "one\ntwo\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 4,
         "program: /x: No space left on device; fix this and retry\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 4,
         "program: standard output: No space left on device; fix this and retry\n"),
        (BrokenPipeError(), 1, ""),
        (KeyboardInterrupt(), 130, "program: stopped\n"),
    ],
)  # fmt: skip
def test_error_becomes_a_message_and_an_exit_code(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.main("program", lambda: fail(error), "stopped") == status
    assert capsys.readouterr() == ("", message)


def test_answer_of_an_error_is_printed_too(capsys: pytest.CaptureFixture[str]) -> None:
    error = FailedTestsError("it failed", output="what was seen")
    assert console.main("program", lambda: fail(error), "") == 5
    assert capsys.readouterr() == ("what was seen\n", "program: it failed\n")


def test_text_of_the_work_is_printed_with_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert console.main("program", lambda: (5, "the answer"), "") == 5
    assert capsys.readouterr() == ("the answer\n", "")
    assert console.main("program", lambda: (0, ""), "") == 0
    assert capsys.readouterr() == ("", "")
