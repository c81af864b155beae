"""Is it the pinned CRIU, whole, and does it ask for no more than the right it needs?"""

import pytest
from testinfra.host import Host

from imagetest.plugin import Case

pytestmark = pytest.mark.component("criu")

CRIU = "/usr/sbin/criu"


def test_version_line(host: Host, case: Case) -> None:
    assert host.check_output(f"{CRIU} --version").splitlines()[0] == f"Version: {case.pins.components['criu'].version}"


def test_libraries_are_all_there(host: Host) -> None:
    """The loader itself is asked, and prints every library that it resolves."""
    answer = host.check_output(f"LD_TRACE_LOADED_OBJECTS=1 {CRIU}")
    assert "libprotobuf-c.so.1 => /" in answer
    assert "not found" not in answer


def test_without_the_right_it_says_which(host: Host) -> None:
    """The judge's container has no capability; the kernel's refusal is CRIU's own message, not a crash."""
    answer = host.run(f"{CRIU} check")
    assert answer.rc == 1
    assert "CAP_SYS_ADMIN or the CAP_CHECKPOINT_RESTORE" in answer.stdout + answer.stderr
