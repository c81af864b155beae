"""Do full's runc and CRIU save and restore a container, and a CUDA process in one?"""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.workload.checkpoints import program_of
from tests.workload.sandboxes import Sandboxes, Seen
from worker_images.harness.options import not_run
from worker_images.node import place
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.spec import CHECKPOINT

pytestmark = [pytest.mark.variant("full"), pytest.mark.not_in_a_pod]

# A shell would start each sleep with vfork, which CRIU cannot save.
COUNT = """
import itertools, time
for number in itertools.count(1):
    print(number, flush=True)
    time.sleep(0.05)
"""
# The parent waits in vfork until the child has opened the pipe.
VFORK = """
import itertools, os, time
print(*range(1, 21), sep="\\n", flush=True)
os.mkfifo("/pipe")
pipe = os.POSIX_SPAWN_OPEN, 3, "/pipe", os.O_RDONLY, 0
os.waitpid(os.posix_spawn("/bin/true", ["true"], {}, file_actions=[pipe]), 0)
for number in itertools.count(21):
    print(number, flush=True)
    time.sleep(0.05)
"""
NUMBERS = "/numbers"
# Every call has a limit.
START = """
runc() {{ timeout --kill-after=5 60 runc --root={bundle}/state "$@"; }}
mkdir {bundle}/image {bundle}/dump {bundle}/restore
runc run --detach --bundle={bundle} before > {bundle}/started 2>&1 < /dev/null || cat {bundle}/started >&2
runc exec before sh -c 'until grep -qx 20 {numbers}; do sleep 0.05; done'
"""
DUMP = "runc checkpoint --image-path={bundle}/image --work-path={bundle}/dump --manage-cgroups-mode=ignore before"
# The second checkpoint writes a log of the same name.
REFUSED = f"""
runc exec before sh -c 'until grep -q "^State:.*D" /proc/1/status; do sleep 0.05; done'
if {DUMP}; then echo "CRIU saved a process that waits in vfork" >&2; exit 1; fi
mkdir {{bundle}}/refused
mv {{bundle}}/dump/dump.log {{bundle}}/refused/
runc exec before sh -c 'echo > /pipe; until grep -qx 25 {{numbers}}; do sleep 0.05; done'
"""
# {off} and {on} take the memory off the GPU, and put it back.
SAVE = f"""
{{off}}
{DUMP}
"""
RESTORE = """
runc restore --detach --image-path={bundle}/image --work-path={bundle}/restore --bundle={bundle} --manage-cgroups-mode=ignore after > {bundle}/restored 2>&1 < /dev/null || cat {bundle}/restored >&2
runc exec after cat {numbers} > {bundle}/before
{on}
runc exec after sh -c 'last=$(($(tail -n 1 {numbers}) + 20)); until grep -qx $last {numbers}; do sleep 0.05; done'
runc exec after cat {numbers}
"""
CLEAN_UP = """
for each in before after; do timeout 30 runc --root={bundle}/state delete --force $each; done
"""
SECONDS = 300


@pytest.fixture
def containers(image_sandboxes: Sandboxes, pytestconfig: pytest.Config) -> Sandboxes:
    """Containers with the node's root; the engine's container lacks CRIU's capabilities."""
    if pytestconfig.getoption("place") != "unpacked":
        not_run(pytestconfig, "workload", "CRIU needs --place unpacked")
    return dataclasses.replace(image_sandboxes, rootfs=image_sandboxes.place.clean_root)


def without_tmpfs(specification: dict[str, Any]) -> None:
    """Leave out each tmpfs, and allow all devices, as runc needs rules for them."""
    mounts = specification["mounts"]
    specification["mounts"] = [each for each in mounts if each["type"] != "tmpfs"]
    with_devices(specification)


def with_devices(specification: dict[str, Any]) -> None:
    """Allow all devices, as runc needs rules for them."""
    specification["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}


def run(sandboxes: Sandboxes, bundle: Path, script: str, off: str = "", on: str = "") -> list[int]:
    """Run a script with runc, and return the numbers that the container wrote."""
    seen_there = f"{sandboxes.place.host}{bundle}"
    text = script.format(bundle=seen_there, numbers=NUMBERS, off=off, on=on)
    try:
        found = place.run(sandboxes.place, ["sh", "-euc", text], SECONDS)
        assert found.status == 0, obstacle(bundle, found.errors)
        return [int(line) for line in found.output.split()]
    finally:
        place.run(sandboxes.place, ["sh", "-c", CLEAN_UP.format(bundle=seen_there)])


def obstacle(bundle: Path, errors: str) -> str:
    """What stopped CRIU: the errors in its logs, then the end of each log."""
    logs = [path.read_text(errors="replace") for path in sorted(bundle.glob("*/*.log"))]
    lines = [line for log in logs for line in log.splitlines() if "Error" in line]
    return "\n".join([*lines, errors[-3000:], *(log[-6000:] for log in logs)])


def counting(*command: str) -> tuple[str, ...]:
    """A container's command that writes to a file of the container, and to nothing outside."""
    return ("/bin/sh", "-c", f"exec {shlex.join(command)} > {NUMBERS} 2>&1 < /dev/null")


def without_driver(specification: dict[str, Any]) -> None:
    """A container without the driver's files, for a machine with stand-ins."""
    with_devices(specification)
    mounts = specification["mounts"]
    specification["mounts"] = [each for each in mounts if "nvidia" not in each["destination"]]


def test_files_of_a_tmpfs_survive_criu(containers: Sandboxes, root_python: str, seen: Seen) -> None:
    """Without a GPU: CRIU starts full's tar for the files of a tmpfs, such as /dev."""
    command = counting(root_python, "-c", COUNT)
    bundle = containers.bundle(command, gpus="none", edit=without_driver)
    numbers = run(containers, bundle, START + SAVE + RESTORE)
    seen(f"1 to {numbers[-1]}")
    assert numbers == [*range(1, numbers[-1] + 1)]


def test_criu_gives_up_while_a_process_waits_in_vfork(
    containers: Sandboxes, root_python: str, seen: Seen
) -> None:
    """Without a GPU: the process is in state D. It goes on, and is saved after the wait."""
    command = counting(root_python, "-c", VFORK)
    bundle = containers.bundle(command, gpus="none", edit=without_driver)
    numbers = run(containers, bundle, START + REFUSED + SAVE + RESTORE)
    log = (bundle / "refused/dump.log").read_text(errors="replace")
    lines = [line for line in log.splitlines() if "state D" in line]
    assert lines, log[-6000:]
    seen(lines[0])
    assert numbers == [*range(1, numbers[-1] + 1)]


def test_cuda_process_continues_after_criu_restores_it(
    containers: Sandboxes, sandboxes: Sandboxes, image_root: Path, python: str, seen: Seen
) -> None:
    """Its memory is off the GPU while CRIU saves it, and the counter in it continues."""
    assert containers.node == sandboxes.node
    program = program_of(image_root)
    bundle = sandboxes.bundle(
        counting(python, f"{PROBES_MOUNT}/counting.py"),
        edit=without_tmpfs,
        checkpoint=Path(CHECKPOINT) if program == CHECKPOINT else None,
    )
    off, on = (f"runc exec {name} {program} --toggle --pid 1" for name in ("before", "after"))
    try:
        numbers = run(sandboxes, bundle, START + SAVE + RESTORE, off, on)
    except AssertionError as error:
        seen(str(error))
        raise
    saved = len((bundle / "before").read_text().splitlines())
    seen(f"saved at {saved}, continued to {numbers[-1]}")
    assert numbers == [*range(1, numbers[-1] + 1)]
