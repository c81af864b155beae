"""A fake worker pod in a folder: programs and files that a test can change."""

import argparse
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import runsc_checks
from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.results import PASSED
from worker_images.node.verify import command as verify_command
from worker_images.node.verify import options as verify_options

DRIVER = "580.159.04"
RELEASE = "20260817.0"
DRIVERS = next(each.supported for each in table.read(ROOT / table.DRIVERS) if each.name == RELEASE)
VERSION = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n"
# Its output is in the folder `outputs`, so that a test changes a text and not the program.
RUNSC = """#!/bin/sh
outputs={tree}/outputs
case "$*" in
  "nvproxy list-supported-drivers") cat "$outputs/drivers" ;;
  --no-such-flag*) echo "flag provided but not defined: -no-such-flag" >&2; exit 2 ;;
  *--version) cat "$outputs/version" ;;
  flags) cat "$outputs/flags" >&2 ;;
  *)
    echo "$*" >> "$outputs/words"
    for each; do case $each in --bundle=*) bundle=${{each#*=}} ;; esac; done
    test -z "$bundle" || cp "$bundle/config.json" "$outputs/config.json"
    if grep -q 'exec 3' "$bundle/config.json" 2> /dev/null; then exit 0; fi
    cat "$outputs/errors" >&2
    test -s "$outputs/boot" || exit 128
    cat "$outputs/boot"
    test -z "$bundle" || cat "$outputs/nodes" ;;
esac
"""
# Fakes the numbers of devices in the tree; for other paths it runs the real stat.
STAT = """#!/bin/sh
numbers={tree}/numbers/${{4#{tree}/dev/}}
test -f "$numbers" || exec /usr/bin/stat "$@"
echo "$4 is character special file $(cat "$numbers")"
"""
# The shell ends before the first line with the text of the file `ends`, and the pod is then the one in
# restarted.json.
KUBECTL = """#!/bin/bash
tree={tree}
while [ "${{1#--}}" != "$1" ]; do shift; done
test "$1" != wait || exit 0
if [ "$1" = get ]; then
  test ! -e "$tree/$2.json" || exec cat "$tree/$2.json"
  echo "Error from server (NotFound): $2s \\"$3\\" not found" >&2
  exit 1
fi
test ! -e $tree/lost || {{ echo "error: unable to upgrade connection: container not found" >&2; exit 1; }}
ends=$(cat $tree/ends 2> /dev/null || echo "no such line")
{{
  sed -u "\\#$ends#Q; s#/dev/nvidia#$tree&#g; s#/proc/#$tree&#g; s#/usr/l#$tree&#g"
  test ! -e $tree/restarted.json || mv $tree/restarted.json $tree/pod.json
}} | env -i $(cat $tree/environment) /bin/sh > >(sed -u "s#$tree##g") 2> >(sed -u "s#$tree##g" >&2)
"""


@dataclass(frozen=True)
class Worker:
    """A fake worker in a folder."""

    tree: Path

    @property
    def kubectl(self) -> str:
        return str(self.tree / "bin/kubectl")

    def write(self, name: str, text: str) -> None:
        """Write a file of the tree."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)

    def pod(self, phase: str = "Running") -> None:
        """Write the pod's object."""
        found = pod() | ({} if phase == "Running" else {"status": {"phase": phase}})
        self.write("pod.json", json.dumps(found))

    def device(self, name: str, numbers: str) -> None:
        """Create a device that opens; numbers are hexadecimal, as stat prints them."""
        path = self.tree / "dev" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to("/dev/null")
        self.write(f"numbers/{name}", f"{numbers}\n")

    def restart(self, before: str) -> None:
        """Let the container end before it runs a line with this text, and start again."""
        again = pod()
        (status,) = again["status"]["containerStatuses"]
        status |= {"restartCount": 1, "lastState": {"terminated": ENDED}}
        self.write("restarted.json", json.dumps(again))
        self.write("ends", before)

    def forbid_namespaces(self) -> None:
        """Let runsc fail as under a seccomp filter that forbids new namespaces."""
        self.write("outputs/boot", "")
        self.write(
            "outputs/errors",
            "creating process: fork/exec /proc/self/exe: operation not permitted\n",
        )


ENDED = {"reason": "OOMKilled", "exitCode": 137}
IMAGE = "registry.example.com/worker@sha256:" + 64 * "1"


def pod() -> dict[str, Any]:
    """The object of a running pod."""
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "worker", "image": IMAGE, "resources": limits}
    status = {"name": "worker", "imageID": IMAGE, "restartCount": 0, "state": {"running": {}}}
    return {
        "metadata": {"name": "worker", "uid": "1"},
        "spec": {
            "nodeName": "node1",
            "runtimeClassName": "nvidia",
            "containers": [container],
        },
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def make(tree: Path) -> Worker:
    """Create a worker that passes every check."""
    worker = Worker(tree)
    programs = {"usr/local/bin/runsc": RUNSC, "bin/stat": STAT, "bin/kubectl": KUBECTL}
    for name, text in programs.items():
        worker.write(name, text.format(tree=tree))
        (tree / name).chmod(stat.S_IRWXU)
    for name, text in _outputs().items():
        worker.write(f"outputs/{name}", text)
    worker.pod()
    worker.write("runtimeclass.json", json.dumps({"handler": "nvidia"}))
    worker.write("environment", f"NVIDIA_VISIBLE_DEVICES=GPU-1234\nPATH={tree}/bin:/usr/bin:/bin\n")
    worker.write("proc/driver/nvidia/version", VERSION)
    worker.write("proc/devices", "195 nvidia\n510 nvidia-uvm\n")
    worker.write("proc/self/status", "CapEff:\t00000000a80425fb\nSeccomp:\t0\n")
    for name, text in {
        "kernel/yama/ptrace_scope": "1",
        "vm/max_map_count": "65530",
        "user/max_user_namespaces": "96365",
    }.items():
        worker.write(f"proc/sys/{name}", f"{text}\n")
    for name in ("libcuda", "libnvidia-ml"):
        worker.write(f"usr/local/nvidia/lib64/{name}.so.{DRIVER}", "")
    for name, numbers in (("nvidiactl", "c3:ff"), ("nvidia-uvm", "1fe:0"), ("nvidia0", "c3:0")):
        worker.device(name, numbers)
    return worker


def _outputs() -> dict[str, str]:
    nodes = {"nvidiactl": "c3:ff", "nvidia-uvm": "fe:0", "nvidia0": "c3:0"}
    return {
        "version": f"runsc version release-{RELEASE}\nspec: 1.1.0\n",
        "flags": "".join(f"  -{flag}\n" for flag in runsc_checks.FLAGS),
        "nodes": "".join(
            f"/dev/{name} character special file {numbers}\n" for name, numbers in nodes.items()
        ),
        "drivers": "".join(f"{driver}\n" for driver in DRIVERS),
        "boot": "Linux version 4.19.0-gvisor\n",
        "errors": "",
    }


def run(root: Path, *options: str) -> tuple[str, int, dict[str, dict[str, Any]]]:
    """Run verify, and return its text, its exit code, and its rows by their check."""
    parser = argparse.ArgumentParser()
    verify_options.add_arguments(parser)
    result = root / "result.json"
    status, text = verify_command.main(
        parser.parse_args([*options, f"--json={result}"]), root, lambda _: None
    )
    rows = json.loads(result.read_text())["rows"] if result.exists() else []
    return text, status, {row["check"]: row for row in rows}


def failed(rows: dict[str, dict[str, Any]]) -> set[str]:
    """Return the checks that were selected and did not pass."""
    return {check for check, row in rows.items() if row["selected"] and row["outcome"] != PASSED}
