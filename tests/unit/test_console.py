"""Errors become messages and exit codes."""

import errno
import io

import pytest

from worker_images import console
from worker_images.errors import EngineError, FailedTestsError, FetchError


def fail(error: BaseException) -> tuple[int, str]:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (FetchError("no response"), 3, "program: no response\n"),
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


def test_output_of_an_error_is_printed_too(capsys: pytest.CaptureFixture[str]) -> None:
    error = FailedTestsError("it failed", output="a report")
    assert console.main("program", lambda: fail(error), "") == 5
    assert capsys.readouterr() == ("a report\n", "program: it failed\n")


def test_output_of_a_command_is_printed_with_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert console.main("program", lambda: (5, "the output"), "") == 5
    assert capsys.readouterr() == ("the output\n", "")
    assert console.main("program", lambda: (0, ""), "") == 0
    assert capsys.readouterr() == ("", "")


ESCAPE = "\x1b[2J\x9b\b\u202e\ud800"
ESCAPED = r"\u001b[2J\u009b\u0008\u202e\ud800"


def test_output_of_a_command_cannot_control_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main("program", lambda: (0, f"a\n\t{ESCAPE}"), "") == 0
    assert capsys.readouterr() == (f"a\n\t{ESCAPED}\n", "")


def test_error_and_its_output_cannot_control_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Examples are the log of an image's tests and the message of an engine."""
    error = FailedTestsError(f"log {ESCAPE}\nfailed", output=f"report {ESCAPE}")
    assert console.main("program", lambda: fail(error), "") == 5
    assert capsys.readouterr() == (f"report {ESCAPED}\n", f"log {ESCAPED}\nfailed\n")
    console.main("program", lambda: fail(OSError(errno.ENOENT, "none", ESCAPE)), "")
    assert capsys.readouterr().err == f"program: {ESCAPED}: none; fix this and retry\n"


def test_progress_cannot_control_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_progress(ESCAPE)
    assert capsys.readouterr().err == f"» {ESCAPED}\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "✓ é → …\n"), ("latin-1", "+ é -> ...\n"), ("ascii", "+ ? -> ...\n")],
)
def test_text_is_shown_in_the_characters_of_the_stream(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal with another character set than UTF-8 is no reason to fail."""
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding=encoding))
    assert console.main("program", lambda: (0, "✓ é → …"), "interrupted") == 0
    assert buffer.getvalue().decode(encoding) == shown
