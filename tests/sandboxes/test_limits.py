"""Do limits of memory, processors and processes bite, and does the launcher see it?"""

import re

from tests.sandboxes.launcher import HOOK_PATH, Config, Launcher, Sandbox
from tests.sandboxes.page import commands
from tests.sandboxes.scripts import WAIT
from worker_images.node.limits import Limits

MEGABYTES = 128
MEMORY = MEGABYTES << 20
FILL = f"""echo started
dd if=/dev/zero of=/dev/shm/file bs=1M count={MEGABYTES * 3 // 2} && echo filled"""
PROCESSES = 60
# A shell that cannot fork ends with an error, and its container with it.
SPAWN = f"""exec 2>&1
n=0; while [ $n -lt {4 * PROCESSES} ]; do sleep 600 & n=$((n + 1)); echo $n; done; echo all"""
NO_FORK = b"can't fork: Resource temporarily unavailable"
BOMB = "f() { f | f; }; f"
COUNT = 1_000_000
FREE = f"i=0; echo ready; read -r go; while [ $i -lt {COUNT} ]; do i=$((i + 1)); done; echo done"
LIMITED = """i=0; trap 'echo $i; exit 0' TERM; echo ready; read -r go
while :; do i=$((i + 1)); done"""


def test_memory_over_the_limit_is_killed(root: Launcher) -> None:
    """Without a limit the same program ends well."""
    found = root.run(FILL, Sandbox(limits=Limits(memory=MEMORY)))
    assert (found.status, found.output) == (137, b"started\n"), found.text
    free = root.run(FILL)
    assert (free.status, free.output) == (0, b"started\nfilled\n"), free.text


def test_memory_of_a_sandbox_is_its_limit(privileged: Launcher) -> None:
    """Programs read how much memory they have."""
    script = "grep MemTotal /proc/meminfo"
    limited = privileged.run(script, Sandbox(limits=Limits(memory=MEMORY)))
    assert int(limited.output.split()[1]) << 10 == MEMORY
    assert int(privileged.run(script).output.split()[1]) << 10 > MEMORY


def test_launcher_sees_that_the_memory_limit_killed_it(privileged: Launcher) -> None:
    """The commands of the page count one kill; a command that kills itself counts none."""
    assert oom_kills(privileged, FILL) == ("exit code 137", 1)
    assert oom_kills(privileged, "kill -KILL $$") == ("exit code 137", 0)


def oom_kills(launcher: Launcher, script: str) -> tuple[str, int]:
    """Run the commands of the page, and return the exit code and the number of kills."""
    bundle = launcher.bundle(script)
    page = next(block for block in commands("Exit codes") if "oom_kill" in block)
    assert "memory.limit_in_bytes" in page
    text = page.replace("2G", str(MEMORY)).replace("job-1", bundle.name)
    text = text.replace("/run/bundle", bundle.path).replace(
        "runsc ", f"runsc --root={launcher.state} "
    )
    if launcher.worker.run("test -e /sys/fs/cgroup/cgroup.controllers").status == 0:
        text = text.replace("/memory/", "/").replace("memory.limit_in_bytes", "memory.max")
        text = text.replace("memory.oom_control", "memory.events")
    output = launcher.worker(text)
    code = re.search(r"exit code \d+", output)
    kills = re.search(r"oom_kill (\d+)", output)
    assert code, output
    assert kills, output
    return code[0], int(kills[1])


def test_processor_time_is_limited(root: Launcher) -> None:
    """Of two loops at the same time, the one with a tenth of a processor counts less than half.

    Without a limit both count about the same.
    """
    assert race(root, Sandbox(limits=Limits(cpus=0.1))) < COUNT / 2
    assert race(root, Sandbox()) > COUNT / 2


def race(launcher: Launcher, sandbox: Sandbox) -> int:
    """Run two loops until the one without limits has counted, and return the other's count."""
    first, second = launcher.bundle(FREE), launcher.bundle(LIMITED, sandbox)
    script = f"""{WAIT}
mkfifo "$1/go" "$2/go"
{launcher.command(first, "run")} < "$1/go" > "$1/output" &
first=$!
{launcher.command(second, "run")} < "$2/go" > "$2/output" &
exec 3> "$1/go" 4> "$2/go"
until_line "$1/output" ready && until_line "$2/output" ready
echo go >&4; echo go >&3
wait $first
{launcher.command(second, "kill", "TERM")}
wait $!
tail -n 1 "$2/output"
"""
    return int(launcher.worker(script, first.path, second.path))


def test_processes_over_the_limit_are_refused(runsc: Launcher) -> None:
    """gVisor's kernel refuses them, also with --rootless. Without a limit they all start."""
    limited = runsc.run(SPAWN, Sandbox(limits=Limits(processes=PROCESSES)))
    *counted, last = limited.output.splitlines()
    assert NO_FORK in last, limited.text
    assert PROCESSES / 2 < len(counted) <= PROCESSES
    free = runsc.run(SPAWN)
    assert free.output.endswith(b"all\n"), free.text


def test_fork_bomb_ends_at_the_limit(runsc: Launcher) -> None:
    """The worker answers afterwards."""
    found = runsc.run(BOMB, Sandbox(limits=Limits(processes=PROCESSES)))
    assert NO_FORK in found.errors, found.text
    assert runsc.worker("echo alive") == "alive\n"


def test_control_group_counts_threads_of_runsc(root: Launcher) -> None:
    """Over its limit runsc ends with the sandbox; runc refuses a process of the container."""

    def limit(config: Config) -> None:
        config["linux"]["resources"] = {"pids": {"limit": PROCESSES}}

    found = root.run(SPAWN, Sandbox(limits=Limits(memory=4 * MEMORY)), limit)
    counted = [line for line in found.output.splitlines() if line.isdigit()]
    assert found.status == 2
    if root.kind == HOOK_PATH:
        assert NO_FORK in found.output
        assert PROCESSES / 2 < len(counted) <= PROCESSES
    else:
        assert NO_FORK not in found.output
        assert 0 < len(counted) < PROCESSES / 2


def test_processes_of_many_users_end_at_the_limit_of_the_group(privileged: Launcher) -> None:
    """gVisor's limit is one for each user; the group's is for the sandbox."""
    users = range(1001, 1001 + 4 * PROCESSES)
    accounts = "".join(f"u{user}:x:{user}:{user}::/:/bin/sh\\n" for user in users)
    spawn = f"""printf '{accounts}' > /etc/passwd
for user in $(seq {users[0]} {users[-1]}); do su u$user -c 'exec sleep 600' & echo $user; done
echo all"""
    few = Sandbox(limits=Limits(processes=PROCESSES // 6))
    found = privileged.run(spawn, few)
    assert (found.status, b"all" in found.output) == (2, False), found.text
    other = privileged.run(spawn)
    assert other.output.endswith(b"all\n"), other.text
