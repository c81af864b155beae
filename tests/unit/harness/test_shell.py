"""The open shell returns the results of a real sh, and raises an error after its end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from worker_images.harness import shell
from worker_images.harness.open_shell import OpenShell, TransportError

COMMANDS = {
    "status": ("exit 7", 7, b"", b""),
    "both streams": ("echo out; echo err >&2", 0, b"out\n", b"err\n"),
    "no newline at the end": ("printf x", 0, b"x", b""),
    "newlines only": ("printf '\\n\\n'", 0, b"\n\n", b""),
    "bytes": ("printf '\\000\\377'", 0, b"\x00\xff", b""),
    "reads no input": ("cat", 0, b"", b""),
    "quotes": ("echo \"a'b\" 'c\"d'", 0, b"a'b c\"d\n", b""),
    "many lines": ("if true\nthen\n  echo yes\nfi", 0, b"yes\n", b""),
    "set -e does not end the shell": ("set -e; false; echo no", 1, b"", b""),
    "exec does not end the shell": ("exec true", 0, b"", b""),
    "not found": ("/no/such/program 2>/dev/null", 127, b"", b""),
    "large output": ("head -c 3000000 /dev/zero", 0, bytes(3_000_000), b""),
    "large errors": ("head -c 300000 /dev/zero >&2", 0, b"", bytes(300_000)),
}


@pytest.fixture
def open_shell() -> Iterator[OpenShell]:
    found = OpenShell(["/bin/sh"])
    yield found
    found.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_shell_returns_status_and_outputs(name: str, open_shell: OpenShell) -> None:
    command, status, output, errors = COMMANDS[name]
    assert open_shell.run(command.encode(), 30) == (status, output, errors)
    assert open_shell.run(b"echo alive", 30) == (0, b"alive\n", b"")


def test_ended_shell_raises_an_error(open_shell: OpenShell) -> None:
    open_shell.process.kill()
    open_shell.process.wait()
    with pytest.raises(TransportError, match="the target is gone"):
        open_shell.run(b"true", 30)


def test_shell_that_ends_in_a_command_raises_an_error(open_shell: OpenShell) -> None:
    with pytest.raises(TransportError, match="the target is gone"):
        open_shell.run(b"kill -9 $PPID", 30)


def test_command_that_exceeds_its_time_raises_an_error(open_shell: OpenShell) -> None:
    with pytest.raises(TransportError, match="no response in time"):
        open_shell.run(b"sleep 60", 0.2)


@pytest.mark.parametrize(
    "command",
    [b"yes", b"yes >&2", b"head -c 9000000 /dev/zero; head -c 9000000 /dev/zero >&2"],
)
def test_command_that_prints_without_end_raises_an_error(
    command: bytes, open_shell: OpenShell
) -> None:
    begun = time.monotonic()
    with pytest.raises(TransportError, match="more than 16 MiB of output from b'"):
        open_shell.run(command, 30)
    assert time.monotonic() - begun < 30


def test_grandchild_that_prints_after_the_end_does_not_block(open_shell: OpenShell) -> None:
    """The shell ends while another process prints to its error output."""
    with pytest.raises(TransportError, match=r"the target is gone|more than 16 MiB"):
        open_shell.run(b"yes >&2 & kill -9 $PPID", 30)


def test_shell_without_an_exit_status_raises_an_error(tmp_path: Path) -> None:
    """A program in place of the shell can read the mark and print anything."""
    (tmp_path / "sh").write_text(
        "#!/bin/sh\nread -r line\nmark=${line##*\\'\\\\n}; mark=${mark%%\\\\n*}\n"
        'printf "\\n%s x\\n" "$mark"; printf "\\n%s\\n" "$mark" >&2; exec sleep 60\n'
    )
    (tmp_path / "sh").chmod(0o755)
    found = OpenShell([str(tmp_path / "sh")])
    with pytest.raises(TransportError, match="no exit status of b'true'"):
        found.run(b"true", 30)


@pytest.mark.parametrize(
    "command",
    [["/bin/sh", "-c", "echo no such container >&2; exit 1"], ["/bin/false"], ["/bin/true"]],
)
def test_command_that_starts_no_shell_raises_an_error(command: list[str]) -> None:
    found = OpenShell(command)
    with pytest.raises(TransportError, match="the target is gone"):
        found.run(b"true", 30)


@pytest.fixture
def host() -> Iterator[Host]:
    shell.register()
    found = testinfra.get_host("sh://local")
    yield found
    found.backend.close()


def test_testinfra_runs_commands_in_the_shell(host: Host) -> None:
    assert host.file("/bin/sh").exists
    assert not host.file("/no/such").exists
    assert host.run("echo %s", "it's").stdout == "it's\n"


def test_absence_check_raises_an_error_after_the_shell_ended(host: Host) -> None:
    """Testinfra's own backends report a program as absent when the container is dead."""
    assert not host.exists("no-such-program")
    host.backend.shell.process.kill()
    host.backend.shell.process.wait()
    with pytest.raises(TransportError):
        host.exists("no-such-program")


DOCKER = """#!/bin/sh
case $1 in
  exec) {exec} ;;
  inspect) {inspect} ;;
  events) {events} ;;
esac
"""
ENDS = "exit 137"
RUNNING, EXITED = "echo running, exit code 0", "echo exited, exit code 137"


@pytest.mark.parametrize(
    ("exec_", "inspect", "events", "error", "message"),
    [
        (
            "exec yes",
            RUNNING,
            "true",
            pytest.fail.Exception,
            "16 MiB .* is running, exit code 0: a prog",
        ),
        (ENDS, RUNNING, "true", pytest.fail.Exception, "the target is gone"),
        (ENDS, EXITED, "true", pytest.fail.Exception, "the container has exited, exit code 137"),
        (ENDS, EXITED, "echo killed", TransportError, "the target is gone"),
        (ENDS, "echo no such object >&2; exit 1", "exit 1", TransportError, "the target is gone"),
    ],
    ids=["prints", "shell ends", "container ends", "container is killed", "engine is gone"],
)
def test_lost_shell_is_a_fault_of_the_image_if_the_engine_has_its_container(
    exec_: str,
    inspect: str,
    events: str,
    error: type[BaseException],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A killed container or an engine that does not respond is not a fault of the image."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(exec=exec_, inspect=inspect, events=events))
    docker.chmod(0o755)
    monkeypatch.setenv("WORKER_DOCKER", str(docker))
    shell.register()
    # testinfra keeps each host that it returned, with its shell.
    host = testinfra.get_host(f"dockersh://{tmp_path.name}")
    with pytest.raises(error, match=message):
        host.run("true")
    assert host.backend.lost
