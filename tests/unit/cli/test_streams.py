"""Commands whose disk or output streams are full or closed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support import commands
from worker_images import console
from worker_images.cli import build, main
from worker_images.files import ROOT


def test_full_disk_is_a_one_line_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere")

    monkeypatch.setattr(build, "build", full)
    assert main.main(["--variant", "slim", "--no-cache"], ROOT) == 4
    assert (
        capsys.readouterr().err
        == "build.py: /somewhere: No space left on device; fix this and retry\n"
    )


def unread(pipe: int) -> bool:
    """Whether no process has read what was written to a pipe."""
    return fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(
    ("words", "status"),
    [(["build.py", "manifests", "-"], 2), (["-m", "worker_images.node", "explain", "-"], 5)],
    ids=["build.py", "node"],
)
def test_hangup_ends_a_command_unless_nohup_ignores_it(
    words: list[str], status: int, ignored: bool
) -> None:
    """Its terminal was closed: the command cleans up as after Ctrl-C."""
    # The tests themselves may run under nohup.
    prefix = ["env", f"--{'ignore' if ignored else 'default'}-signal=HUP"]
    command = [*prefix, sys.executable, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stderr=pipe, text=True) as process:
        assert process.stdin
        process.stdin.write("a: b\n")
        process.stdin.flush()
        while unread(process.stdin.fileno()):
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate("")
    assert process.returncode == (status if ignored else 130), errors


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        (">/dev/full", 4),
    ],
)
def test_closed_or_full_streams_do_not_cause_a_traceback(
    redirection: str, status: int, tmp_path: Path
) -> None:
    """Streams as under cron, under nohup, or on a full disk."""
    result = commands.run(
        [
            "sh",
            "-c",
            f'"$0" "$1" --variant slim --print plan {redirection}',
            sys.executable,
            str(ROOT / "build.py"),
        ],
        cwd=tmp_path,
    )
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    if status:
        assert (
            result.stderr
            == "build.py: standard output: No space left on device; fix this and retry\n"
        )


def test_progress_to_a_full_stream_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        console.print_progress("building")
        monkeypatch.undo()
        # The control: writing there fails.
        with pytest.raises(OSError, match="No space left on device"):
            full.flush()
        # Closing the file would try to write the buffer again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
