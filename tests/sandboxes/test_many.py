"""Do ten sandboxes run at once, each with its own output and exit code?"""

from tests.sandboxes.launcher import Launcher
from tests.sandboxes.scripts import WAIT

COUNT = 10


def test_ten_sandboxes_run_at_once(launcher: Launcher) -> None:
    """Each waits until all have started."""
    jobs = [
        launcher.bundle(f"echo ready; cat; echo go {number}; exit {number}")
        for number in range(COUNT)
    ]
    starts = "\n".join(
        f'{launcher.command(job, "run")} < $1/gate > {job.path}/output 2>&1 & all="$all $!"'
        for job in jobs
    )
    ready = "\n".join(f"until_line {job.path}/output ready" for job in jobs)
    outputs = " ".join(f"{job.path}/output" for job in jobs)
    script = f"""{WAIT}
mkfifo "$1/gate"
{starts}
exec 3> "$1/gate"
{ready}
{launcher.command(jobs[0], "list", options=["--quiet"])} | wc -l
exec 3>&-
for each in $all; do wait $each; echo $?; done
cat {outputs} | grep go"""
    count, *rest = launcher.worker(script, jobs[0].path).splitlines()
    assert int(count) == COUNT
    assert rest[:COUNT] == [str(number) for number in range(COUNT)]
    assert rest[COUNT:] == [f"go {number}" for number in range(COUNT)]
