"""scripts/engine in real namespaces: layer sharing and cgroups."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.files import ROOT
from worker_images.model.results import NOT_RUN_PREFIX

SCRIPT = ROOT / "scripts" / "engine"
# The top cgroup of a container as plain files, and a process that sees itself in it.
CONTAINER = """
set -e
mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup
for file in cgroup.type cgroup.procs cgroup.controllers cgroup.subtree_control; do : >$file; done
echo "cpu memory" >cgroup.controllers
echo 4242 >cgroup.procs
echo "$1" >"$2/own"
[ "$3" = container ] || rm cgroup.type
sh -c 'mount --bind "$1/own" "/proc/$$/cgroup"; exec "$0" start "$1"' "$4" "$2" || true
cat cgroup.subtree_control init/cgroup.procs
"""


@pytest.fixture(autouse=True)
def root() -> None:
    """Namespaces and mounts need root."""
    command = ["unshare", "--mount", "--net", "true"]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip(f"{NOT_RUN_PREFIX}mounts need root with CAP_SYS_ADMIN")


@pytest.mark.parametrize(("filesystem", "layers"), [("tmpfs", "overlayfs"), ("overlay", "native")])
def test_layers_are_copied_on_a_disk_without_overlays(
    filesystem: str,
    layers: str,
    tmp_path: Path,
) -> None:
    """A container's disk is an overlay, which cannot be the upper layer of another one."""
    for name in ("lower", "disk", "state"):
        (tmp_path / name).mkdir()
    options = {
        "tmpfs": "mode=755",
        "overlay": "lowerdir=lower,upperdir=disk/upper,workdir=disk/work",
    }[filesystem]
    setup = "mount -t tmpfs tmpfs disk && mkdir disk/upper disk/work"
    program = (
        f'{setup} && mount -t {filesystem} {filesystem} -o {options} state && "$0" layers state'
    )
    found = commands.run(["unshare", "--mount", "sh", "-c", program, str(SCRIPT)], cwd=tmp_path)
    assert (found.stdout, found.stderr) == (f"{layers}\n", "")
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize(
    ("own", "kind", "enabled", "moved"),
    [
        ("0::/", "container", "+cpu +memory\n", "4242\n"),
        ("0::/", "machine", "", ""),
        ("0::/user.slice/session-1.scope", "container", "", ""),
        ("9:memory:/", "container", "", ""),
    ],
)
def test_processes_move_only_in_the_top_cgroup_of_a_container(
    own: str,
    kind: str,
    enabled: str,
    moved: str,
    tmp_path: Path,
) -> None:
    """The root cgroup of a machine, cgroups of systemd and cgroup v1 are not changed."""
    dockerd = tmp_path / "root/usr/sbin/dockerd"
    dockerd.parent.mkdir(parents=True)
    shutil.copy("/bin/true", dockerd)
    command = [
        "unshare",
        "--mount",
        "--net",
        "sh",
        "-c",
        CONTAINER,
        "sh",
        own,
        str(tmp_path),
        kind,
        str(SCRIPT),
    ]
    found = commands.run(command)
    assert found.stdout == enabled + moved, found.stderr
