"""A fake worker pod in a folder: programs and files that a test can change."""

import argparse
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.results import PASSED
from worker_images.node.verify import verify

DRIVER = "580.159.04"
RELEASE = "20260817.0"
DRIVERS = next(each.supported for each in table.read(ROOT / table.DRIVERS) if each.name == RELEASE)
VERSION = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n"
# Its output is in the folder `outputs`, so that a test changes a text and not the program.
RUNSC = """#!/bin/sh
outputs={tree}/outputs
case "$*" in
  "nvproxy list-supported-drivers") cat "$outputs/drivers" ;;
  *do\\ cat*) cat "$outputs/boot"; cat "$outputs/errors" >&2; test -s "$outputs/boot" ;;
esac
"""
# Fakes the numbers of devices in the tree; for other paths it runs the real stat.
STAT = """#!/bin/sh
numbers={tree}/numbers/${{4#{tree}/dev/}}
test -f "$numbers" || exec /usr/bin/stat "$@"
echo "$4 is character special file $(cat "$numbers")"
"""
KUBECTL = """#!/bin/sh
while [ "${{1#--}}" != "$1" ]; do shift; done
if [ "$1" = get ]; then
  test ! -e "{tree}/$2.json" || exec cat "{tree}/$2.json"
  echo "Error from server (NotFound): $2s \\"$3\\" not found" >&2
  exit 1
fi
test ! -e {tree}/lost || {{ echo "error: unable to upgrade connection: container not found" >&2; exit 1; }}
while [ "$1" != -- ]; do shift; done
shift
for word; do
  shift
  set -- "$@" "$(printf '%s' "$word" | sed 's#/dev/nvidia#{tree}&#g; s#/proc/#{tree}&#g; s#/usr/l#{tree}&#g')"
done
env -i $(cat {tree}/environment) "$@" > {tree}/output 2> {tree}/errors
status=$?
sed 's#{tree}##g' {tree}/output
sed 's#{tree}##g' {tree}/errors >&2
exit $status
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

    def pod(self, runtime_class: str = "nvidia", gpus: int = 1) -> None:
        """Write the pod's object."""
        limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
        spec = {
            "runtimeClassName": runtime_class,
            "containers": [{"name": "worker", "resources": {"limits": limits}}],
        }
        self.write("pod.json", json.dumps({"spec": spec}))

    def device(self, name: str, numbers: str) -> None:
        """Create a device that opens; numbers are hexadecimal, as stat prints them."""
        path = self.tree / "dev" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to("/dev/null")
        self.write(f"numbers/{name}", f"{numbers}\n")

    def forbid_namespaces(self) -> None:
        """Let runsc fail as under a seccomp filter that forbids new namespaces."""
        self.write("outputs/boot", "")
        self.write(
            "outputs/errors",
            "creating process: fork/exec /proc/self/exe: operation not permitted\n",
        )


def make(tree: Path) -> Worker:
    """Create a worker that passes every check."""
    worker = Worker(tree)
    for name, text in (("runsc", RUNSC), ("stat", STAT), ("kubectl", KUBECTL)):
        worker.write(f"bin/{name}", text.format(tree=tree))
        (tree / "bin" / name).chmod(stat.S_IRWXU)
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
    return {
        "drivers": "".join(f"{driver}\n" for driver in DRIVERS),
        "boot": "Linux version 4.19.0-gvisor\n",
        "errors": "",
    }


def run(root: Path, *options: str) -> tuple[str, int, dict[str, dict[str, Any]]]:
    """Run verify, and return its text, its exit code, and its rows by their check."""
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    result = root / "result.json"
    status, text = verify.main(
        parser.parse_args([*options, f"--json={result}"]), root, lambda _: None
    )
    rows = json.loads(result.read_text())["rows"] if result.exists() else []
    return text, status, {row["check"]: row for row in rows}


def failed(rows: dict[str, dict[str, Any]]) -> set[str]:
    """Return the checks that were selected and did not pass."""
    return {check for check, row in rows.items() if row["selected"] and row["outcome"] != PASSED}
