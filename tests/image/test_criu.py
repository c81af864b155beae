"""Is it the pinned CRIU, whole, and does it ask for no more than the right it needs?"""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.image.conftest import opened
from worker_images.harness.collection import Case
from worker_images.harness.options import not_run
from worker_images.harness.plugin import CHECKPOINT_RIGHTS

pytestmark = pytest.mark.component("criu")

CRIU = "/usr/sbin/criu"


def test_version_line(host: Host, case: Case) -> None:
    assert (
        host.check_output(f"{CRIU} --version").splitlines()[0]
        == f"Version: {case.pins.components['criu'].version}"
    )


def test_libraries_are_all_there(host: Host) -> None:
    """The loader itself is asked, and prints every library that it resolves."""
    answer = host.check_output(f"LD_TRACE_LOADED_OBJECTS=1 {CRIU}")
    assert "libprotobuf-c.so.1 => /" in answer
    assert "not found" not in answer


def test_without_the_right_it_says_which(host: Host) -> None:
    """The judge's container has no capability.

    The kernel's refusal is CRIU's own message, not a crash.
    """
    answer = host.run(f"{CRIU} check")
    assert answer.rc == 1
    assert "CAP_SYS_ADMIN or the CAP_CHECKPOINT_RESTORE" in answer.stdout + answer.stderr


# The kernel's numbers of these capabilities.
NUMBERS = {"SYS_ADMIN": 21, "NET_ADMIN": 12, "SYS_CHROOT": 18, "SYS_TIME": 25}
# It reads its word once, at its start; from then on only its memory has it.
COUNT = "word=$(cat word); i=0; while :; do i=$((i+1)); echo $i $word >> counted; sleep 0.05; done"


@pytest.fixture(scope="module")
def privileged(checkpointer: str, case: Case, pytestconfig: pytest.Config) -> Iterator[Host]:
    """A shell in a container with the rights that CRIU needs, where the engine can give them."""
    for found in opened(checkpointer, case.backend):
        given = int(found.check_output("sed -n 's/^CapEff:\\s*//p' /proc/self/status"), 16)
        lacking = [f"CAP_{name}" for name in CHECKPOINT_RIGHTS if not given >> NUMBERS[name] & 1]
        if lacking:
            not_run(pytestconfig, "image", f"the engine cannot give {', '.join(lacking)}")
        yield found


def test_the_kernel_has_all_it_needs(privileged: Host) -> None:
    answer = privileged.run(f"{CRIU} check")
    assert answer.rc == 0, answer.stderr
    assert "Looks good." in answer.stdout + answer.stderr


def test_a_process_goes_on_where_it_was_dumped(privileged: Host) -> None:
    """A shell that counts is dumped and gone.

    Restored under its own number it counts on, with what it had in its memory.
    """
    script = f"""
        mkdir -p /tmp/dump/images && cd /tmp/dump && echo first > word || exit 9
        sh -c '{COUNT}' > /dev/null 2>&1 < /dev/null & process=$!
        until [ -s counted ]; do :; done
        {CRIU} dump --tree $process --images-dir images --log-file dump.log --shell-job || cat images/dump.log
        [ ! -d /proc/$process ] && echo gone
        echo second > word; lines=$(wc -l < counted); tail -n 1 counted
        {CRIU} restore --images-dir images --log-file restore.log --shell-job --restore-detached || cat images/restore.log
        until [ "$(wc -l < counted)" -gt "$lines" ] || [ ! -d /proc/$process ]; do :; done
        kill $process
        tail -n 1 counted"""
    answer = privileged.run(script)
    gone, before, after = answer.stdout.splitlines()
    assert gone == "gone"
    assert (before.split()[1], after.split()[1]) == ("first", "first")
    assert int(after.split()[0]) > int(before.split()[0])
