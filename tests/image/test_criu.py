"""Is it the pinned CRIU, and does it checkpoint and restore a process?"""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.image.conftest import open_shell
from worker_images.harness.collection import Case
from worker_images.harness.options import not_run
from worker_images.harness.plugin import CHECKPOINT_CAPABILITIES

pytestmark = pytest.mark.component("criu")

CRIU = "/usr/sbin/criu"


def test_criu_reports_the_pinned_version(host: Host, case: Case) -> None:
    assert (
        host.check_output(f"{CRIU} --version").splitlines()[0]
        == f"Version: {case.pins.components['criu'].version}"
    )


def test_criu_finds_all_its_libraries(host: Host) -> None:
    """The dynamic loader resolves every library of the program."""
    answer = host.check_output(f"LD_TRACE_LOADED_OBJECTS=1 {CRIU}")
    assert "libprotobuf-c.so.1 => /" in answer
    assert "not found" not in answer


def test_criu_finds_the_programs_that_save_a_tmpfs(host: Host) -> None:
    """tar and gzip with CRIU's own options (criu/filesystems.c) copy files of a tmpfs."""
    answer = host.run(
        "mkdir /tmp/from /tmp/to && echo saved > /tmp/from/file && ln /tmp/from/file /tmp/from/link"
        " && tar --create --gzip --no-unquote --no-wildcards --one-file-system --check-links"
        " --preserve-permissions --sparse --numeric-owner --directory /tmp/from . > /tmp/saved"
        " && tar --extract --gzip --no-unquote --no-wildcards --directory /tmp/to < /tmp/saved"
        " && gzip --test < /tmp/saved && cat /tmp/to/link && stat --format %h /tmp/to/file"
    )
    assert answer.stdout.split() == ["saved", "2"], answer.stderr


def test_criu_names_the_missing_capability(host: Host) -> None:
    """In a container without capabilities, CRIU fails with its own message."""
    answer = host.run(f"{CRIU} check")
    assert answer.rc == 1
    assert "CAP_SYS_ADMIN or the CAP_CHECKPOINT_RESTORE" in answer.stdout + answer.stderr


# The numbers of these capabilities, from linux/capability.h.
NUMBERS = {"SYS_ADMIN": 21, "NET_ADMIN": 12, "SYS_CHROOT": 18, "SYS_TIME": 25}
# The shell reads the word once, at its start; after that only its memory holds it. It starts no
# program in the loop: CRIU cannot save a process that waits in vfork.
COUNT = """word=$(cat word); i=0
while :; do i=$((i+1)); [ $((i % 50000)) = 0 ] && echo $i $word >> counted; done"""


@pytest.fixture(scope="module")
def privileged(
    checkpoint_container: str, case: Case, pytestconfig: pytest.Config
) -> Iterator[Host]:
    """A shell in a container with the capabilities that CRIU needs, if the engine grants them."""
    for found in open_shell(checkpoint_container, case.backend):
        granted = int(found.check_output("sed -n 's/^CapEff:\\s*//p' /proc/self/status"), 16)
        missing = [
            f"CAP_{name}" for name in CHECKPOINT_CAPABILITIES if not granted >> NUMBERS[name] & 1
        ]
        if missing:
            not_run(pytestconfig, "image", f"the engine cannot grant {', '.join(missing)}")
        yield found


def test_kernel_passes_the_criu_check(privileged: Host) -> None:
    answer = privileged.run(f"{CRIU} check")
    assert answer.rc == 0, answer.stderr
    assert "Looks good." in answer.stdout + answer.stderr


def test_process_continues_after_checkpoint_and_restore(privileged: Host) -> None:
    """A restored shell continues to count, with the same process ID and memory."""
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
