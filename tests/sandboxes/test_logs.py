"""Does the launcher get every byte that a user's container prints, through pipes?"""

import hashlib

from tests.sandboxes.launcher import Launcher

# A line has 64 bytes with its end.
LINES = 16384


def test_outputs_are_apart_and_complete(launcher: Launcher) -> None:
    """The last line has no newline."""
    found = launcher.run("echo first; printf last; echo error >&2; printf 'last error' >&2")
    assert (found.output, found.errors) == (b"first\nlast", b"error\nlast error")


def test_one_megabyte_on_each_output_is_complete(launcher: Launcher) -> None:
    program = f"""i=0; while [ $i -lt {LINES} ]; do
printf '%063d\\n' $i; printf 'e%062d\\n' $i >&2; i=$((i+1)); done"""
    found = launcher.run(program)
    output = b"".join(b"%063d\n" % number for number in range(LINES))
    errors = b"".join(b"e%062d\n" % number for number in range(LINES))
    assert len(output) == len(errors) == 1 << 20
    assert digest(found.output) == digest(output)
    assert digest(found.errors) == digest(errors)


def test_input_reaches_the_command(launcher: Launcher) -> None:
    assert launcher.run("wc -c", stdin=bytes(100_000)).output == b"100000\n"


def digest(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()
