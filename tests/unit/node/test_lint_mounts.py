"""The linter knows destinations and options at which runsc cannot mount."""

import pytest

from tests.support.specifications import Change, add_mount, changed
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.lint import violations


def tmpfs(option: str) -> Change:
    mount = {"destination": "/x", "type": "tmpfs", "options": [option]}
    return lambda specification: specification["mounts"].append(mount)


# A change, and the refusal; empty if runsc accepts it. The root has a file and a loop of links.
MOUNTS: tuple[tuple[Change, str], ...] = (
    (add_mount("/usr", destination="/file/x"), "/file is a file, below which runsc cannot mount"),
    (add_mount("/usr", destination="/folder/x"), ""),
    (add_mount("/usr", destination="/loop"), "/loop is a loop of links"),
    (add_mount("/usr", options=["rbind", "rslave", "rprivate"]), "rslave and rprivate exclude"),
    (add_mount("/usr", options=["rbind", "slave", "rslave"]), ""),
    (tmpfs("size=64Q"), "size=64Q, which runsc refuses"),
    (tmpfs("size=64m"), ""),
    (tmpfs("size=50%"), ""),
    (
        add_mount("/etc/passwd", destination="/proc/driver/nvidia/version"),
        "the sandbox's /proc has no /proc/driver/nvidia/version",
    ),
    (add_mount("/etc/passwd", destination="/proc/driver/nvidia/params"), ""),
    (add_mount("/usr", destination="/proc/driver/nvidia/gpus"), ""),
)


@pytest.mark.parametrize(("change", "problem"), MOUNTS)
def test_mount_is_refused_for_its_destination_or_options(
    change: Change, problem: str, valid: LaunchRequest
) -> None:
    assert valid.root
    (valid.root / "file").touch()
    (valid.root / "folder").mkdir()
    (valid.root / "loop").symlink_to("loop")
    found = violations(changed(valid, change))
    assert [each.rule for each in found] == (["F14"] if problem else [])
    assert not problem or problem in found[0].problem
