"""Does the launcher see how a user's container ended?"""

import pytest

from tests.sandboxes.launcher import HOOK_PATH, Config, Launcher
from tests.sandboxes.scripts import WAIT

CODES = {
    "exit 0": 0,
    "exit 1": 1,
    "exit 42": 42,
    "nonesuch": 127,
    "sh -c 'kill -TERM $$'; exit $?": 143,
    "sh -c 'kill -KILL $$'; exit $?": 137,
}
NO_COMMAND = {
    True: (1, "no such file or directory"),
    False: (128, "failed to load /bin/nonesuch: no such file or directory"),
}


@pytest.mark.parametrize("script", CODES)
def test_exit_code_is_that_of_the_command(launcher: Launcher, script: str) -> None:
    """A command that signal N ended has the code 128+N."""
    assert launcher.run(script).status == CODES[script]


def test_missing_command_is_an_error_of_the_runtime(launcher: Launcher) -> None:
    """runsc has no 127 of its own."""

    def change(config: Config) -> None:
        config["process"]["args"] = ["/bin/nonesuch"]

    found = launcher.run("", edit=change)
    status, message = NO_COMMAND[launcher.kind == HOOK_PATH]
    assert found.status == status
    assert message in found.text


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("USR1", 7)])
def test_signal_of_the_launcher_reaches_the_command(
    launcher: Launcher, signal: str, code: int
) -> None:
    """SIGKILL ends a command; another signal runs its handler."""
    bundle = launcher.bundle("trap 'exit 7' USR1; echo ready; while :; do sleep 0.1; done")
    script = f"""{WAIT}
mkfifo "$1/input"
{launcher.command(bundle, "run")} < "$1/input" > "$1/output" 2>&1 &
exec 3> "$1/input"
until_line "$1/output" ready
{launcher.command(bundle, "kill", signal)}
wait $!"""
    found = launcher.worker.run(script, bundle.path)
    assert found.status == code, found.text
