"""Do the commands of docs/checkpoints.md save and restore a sandbox? This one has no GPU."""

import re

from tests.sandboxes.launcher import Launcher
from tests.sandboxes.page import commands
from tests.sandboxes.scripts import WAIT

COUNT = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"
# The output of each container is a pipe. While a container runs, it keeps the script's errors open.
SCRIPT = """{wait}set -e
cd "$1"
trap 'for each in {names}; do {delete} $each || true; done' EXIT
mkfifo first second
cat first > first.lines &
cat second > second.lines &
exec > second
{run} > first
until_line first.lines 20
{save_and_restore}
until_line second.lines 60
"""


def test_commands_of_the_page_save_and_restore(privileged: Launcher) -> None:
    """The restored container continues with the next number."""
    job = privileged.bundle(COUNT)
    restored = f"restored-{job.name}"
    _, found = commands("Save and restore", "checkpoints.md")
    own = {
        "runsc ": f"runsc --root={privileged.state} ",
        # Here is no driver.
        " --nvproxy": "",
        "/run/bundle": job.path,
        "/checkpoints": f"{job.path}/checkpoints",
        "job-1": job.name,
        "job-2": restored,
    }
    found = re.sub("|".join(own), lambda match: own[match[0]], found)
    run, save_and_restore = found.split("\n", 1)
    script = SCRIPT.format(
        wait=WAIT,
        names=f"{job.name} {restored}",
        delete=f"runsc --root={privileged.state} delete --force",
        run=run,
        save_and_restore=save_and_restore,
    )
    privileged.worker(script, job.path)
    first, second = (
        privileged.worker('cat "$1"', f"{job.path}/{name}.lines").split()
        for name in ("first", "second")
    )
    assert int(second[0]) == int(first[-1]) + 1
    mode = privileged.worker('stat -c %a "$1"', f"{job.path}/checkpoints/serve")
    assert mode.strip() == "700"
