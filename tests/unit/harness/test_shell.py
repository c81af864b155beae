"""The open shell: the answers of a real sh, and an error, never a status, when it is gone."""

from collections.abc import Iterator

import pytest
import testinfra
from testinfra.host import Host

from worker_images.harness import shell
from worker_images.harness.shell import OpenShell, TransportError

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
def opened() -> Iterator[OpenShell]:
    found = OpenShell(["/bin/sh"])
    yield found
    found.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_answers(name: str, opened: OpenShell) -> None:
    command, status, output, errors = COMMANDS[name]
    assert opened.run(command.encode(), 30) == (status, output, errors)
    assert opened.run(b"echo alive", 30) == (0, b"alive\n", b"")


def test_an_ended_shell_raises(opened: OpenShell) -> None:
    opened.process.kill()
    opened.process.wait()
    with pytest.raises(TransportError, match="the target is gone"):
        opened.run(b"true", 30)


def test_a_shell_that_dies_in_a_command_raises(opened: OpenShell) -> None:
    with pytest.raises(TransportError, match="the target is gone"):
        opened.run(b"kill -9 $PPID", 30)


def test_no_answer_raises(opened: OpenShell) -> None:
    with pytest.raises(TransportError, match="no answer in time"):
        opened.run(b"sleep 60", 0.2)


@pytest.mark.parametrize(
    "command",
    [["/bin/sh", "-c", "echo no such container >&2; exit 1"], ["/bin/false"], ["/bin/true"]],
)
def test_a_command_that_opens_no_shell_raises(command: list[str]) -> None:
    found = OpenShell(command)
    with pytest.raises(TransportError, match="the target is gone"):
        found.run(b"true", 30)


@pytest.fixture
def host() -> Iterator[Host]:
    shell.register()
    found = testinfra.get_host("sh://local")
    yield found
    found.backend.close()


def test_testinfra_asks_through_it(host: Host) -> None:
    assert host.file("/bin/sh").exists
    assert not host.file("/no/such").exists
    assert host.run("echo %s", "it's").stdout == "it's\n"


def test_absence_is_never_claimed_of_a_dead_target(host: Host) -> None:
    """The hole in the stock backends: these are all True of nothing there."""
    assert not host.exists("no-such-program")
    host.backend.shell.process.kill()
    host.backend.shell.process.wait()
    with pytest.raises(TransportError):
        host.exists("no-such-program")
