"""Does the launcher see a sandbox that it created, started and waits for?"""

import json

from tests.sandboxes.launcher import Launcher
from tests.sandboxes.scripts import WAIT

LOST = "sandbox no longer running and its exit status is unavailable"


def test_wait_returns_the_exit_status(privileged: Launcher) -> None:
    """After the end the status is lost, so `wait` must connect while the command runs."""
    job = privileged.bundle("echo ready; read -r end; echo error >&2; exit 42")
    script = f"""{WAIT}
mkfifo "$1/input"
exec 3<> "$1/input"
{privileged.command(job, "create")} < "$1/input" > "$1/output" 2> "$1/errors"
{privileged.command(job, "start")}
until_line "$1/output" ready
{privileged.command(job, "wait")} > "$1/status" &
for _ in $(seq 300); do
  if ls -l /proc/$!/fd | grep -q socket:; then break; fi
  sleep 0.1
done
echo end >&3
wait $!
until_line "$1/errors" error
cat "$1/status" "$1/errors" "$1/output"
{privileged.command(job, "state")} | grep -o '"status": "[a-z]*"'
{privileged.command(job, "wait")} 2>&1 || echo "wait $?"
{privileged.command(job, "delete")}
{privileged.command(job, "list", options=["--quiet"])} | wc -l"""
    status, *rest = privileged.worker(script, job.path).splitlines()
    assert json.loads(status) == {"id": job.name, "exitStatus": 42}
    assert rest[:3] == ["error", "ready", '"status": "stopped"']
    assert LOST in rest[3]
    assert rest[4:] == ["wait 128", "0"]


def test_rootless_sandbox_cannot_be_created(unprivileged: Launcher) -> None:
    """It has only `run`."""
    job = unprivileged.bundle("exit 0")
    found = unprivileged.worker.run(unprivileged.command(job, "create"))
    assert found.status == 128
    assert 'Rootless mode not supported with "create"' in found.text
